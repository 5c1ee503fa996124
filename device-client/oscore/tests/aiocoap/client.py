"""A client that talks with OSCORE to what has the resources of server.py, and says what it gets.
Arguments: port, folder of the context."""

import asyncio
import sys

import aiocoap
from aiocoap import GET, POST, PUT


async def main(port, folder):
    base = f"coap://127.0.0.1:{port}"
    context = await aiocoap.Context.create_client_context()
    context.client_credentials.load_from_dict({base + "/*": {"oscore": {"basedir": folder}}})

    async def ask(code, path, payload=b""):
        message = aiocoap.Message(code=code, uri=f"{base}/{path}", payload=payload)
        response = await asyncio.wait_for(context.request(message).response, 20)
        return response.code, response.payload

    code, payload = await ask(GET, "value")
    print("value", code.dotted, payload.decode(), flush=True)
    code, payload = await ask(GET, "large")
    print("large", code.dotted, len(payload), payload == b"0123456789" * 300, flush=True)
    code, payload = await ask(PUT, "large", b"abcdefgh" * 500)
    print("put", code.dotted, flush=True)
    code, payload = await ask(GET, "large")
    print("again", code.dotted, payload == b"abcdefgh" * 500, flush=True)
    code, payload = await ask(POST, "once")
    print("once", code.dotted, payload.decode(), flush=True)
    code, payload = await ask(GET, "nothing")
    print("nothing", code.dotted, flush=True)

    request = context.request(aiocoap.Message(code=GET, uri=base + "/value", observe=0))
    first = await asyncio.wait_for(request.response, 20)
    print("observed", first.code.dotted, flush=True)
    seen = 0
    async for notification in request.observation:
        seen += 1
        print("notified", seen, flush=True)
        if seen == 3:
            break
    await context.shutdown()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))

"""A device that registers with OSCORE and has /3/0/0, a value /3303/0/5700 that changes and can be
observed, and /19/0/0 with 3,000 bytes that takes others. Arguments: port of the server, folder of
the context, endpoint name. It says what it was answered; "update" at its input makes it send an
Update."""

import asyncio
import sys

import aiocoap
from aiocoap import CHANGED, POST, resource
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper


def text(value):
    return aiocoap.Message(payload=str(value).encode(), content_format=0)


class Maker(resource.Resource):
    async def render_get(self, request):
        return text("aiocoap")


class Value(resource.ObservableResource):
    count = 0

    async def counts(self):
        while True:
            await asyncio.sleep(0.3)
            self.count += 1
            self.updated_state()

    async def render_get(self, request):
        return text(f"{self.count}.5")


class Large(resource.Resource):
    body = b"0123456789" * 300

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body, content_format=42)

    async def render_put(self, request):
        self.body = request.payload
        return aiocoap.Message(code=CHANGED)


async def main(port, folder, name):
    credentials = CredentialsMap()
    credentials.load_from_dict({":server": {"oscore": {"basedir": folder}}})
    site = resource.Site()
    value = Value()
    site.add_resource(["3", "0", "0"], Maker())
    site.add_resource(["3303", "0", "5700"], value)
    site.add_resource(["19", "0", "0"], Large())
    wrapped = OscoreSiteWrapper(site, credentials)
    # UDP alone: by default it wants the same port of TCP too, which another process may have.
    context = await aiocoap.Context.create_server_context(
        wrapped, bind=("127.0.0.1", 0), transports=["oscore", "udp6"]
    )
    # One context for both directions.
    base = f"coap://127.0.0.1:{port}"
    context.client_credentials[base + "/*"] = credentials[":server"]

    async def post(path, payload=b"", **options):
        message = aiocoap.Message(code=POST, uri=base + path, payload=payload, **options)
        return await asyncio.wait_for(context.request(message).response, 30)

    links = b"</>;ct=0,</3/0>,</3303/0>,</19/0>"
    query = f"?ep={name}&lwm2m=1.1&b=U&lt=300"
    answer = await post("/rd" + query, links, content_format=40)
    print("registered", answer.code.dotted, flush=True)
    location = "/" + "/".join(answer.opt.location_path)
    counting = asyncio.create_task(value.counts())
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        answer = await post(location)
        print("updated", answer.code.dotted, flush=True)
    counting.cancel()


asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))

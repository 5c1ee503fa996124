"""A server that is talked to with OSCORE: /value counts and can be observed, /large has 3,000 bytes
and takes others, /once counts how often it was asked. Argument: folder of the context. Its first
line is the port, which the system chose."""

import asyncio
import sys

import aiocoap
from aiocoap import resource
from aiocoap.credentials import CredentialsMap
from aiocoap.oscore_sitewrapper import OscoreSiteWrapper


class Value(resource.ObservableResource):
    count = 0

    async def counts(self):
        while True:
            await asyncio.sleep(0.3)
            self.count += 1
            self.updated_state()

    async def render_get(self, request):
        return aiocoap.Message(payload=str(self.count).encode())


class Large(resource.Resource):
    body = b"0123456789" * 300

    async def render_get(self, request):
        return aiocoap.Message(payload=self.body)

    async def render_put(self, request):
        self.body = request.payload
        return aiocoap.Message(code=aiocoap.CHANGED)


class Once(resource.Resource):
    count = 0

    async def render_post(self, request):
        self.count += 1
        return aiocoap.Message(code=aiocoap.CHANGED, payload=str(self.count).encode())


async def main(folder):
    credentials = CredentialsMap()
    credentials.load_from_dict({":device": {"oscore": {"basedir": folder}}})
    site = resource.Site()
    value = Value()
    site.add_resource(["value"], value)
    site.add_resource(["large"], Large())
    site.add_resource(["once"], Once())
    wrapped = OscoreSiteWrapper(site, credentials)
    # UDP alone: by default it wants the same port of TCP too, which another process may have.
    context = await aiocoap.Context.create_server_context(
        wrapped, bind=("127.0.0.1", 0), transports=["udp6"]
    )
    udp = context.request_interfaces[0].token_interface.message_interface
    print(udp.transport.get_extra_info("socket").getsockname()[1], flush=True)
    await value.counts()


asyncio.run(main(sys.argv[1]))

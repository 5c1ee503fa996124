package tinsmith.bench;

import java.net.InetAddress;
import java.net.InetSocketAddress;

import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;

/**
 * A Leshan server as its library makes it, in memory, on a free port of the loopback address. It
 * prints its URI and ends when its input does.
 */
public final class Incumbent {
    private Incumbent() {
    }

    public static void main(String[] arguments) throws Exception {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        CaliforniumServerEndpointsProvider.Builder endpoints = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider());
        endpoints.addEndpoint(address, Protocol.COAP);
        LeshanServerBuilder builder = new LeshanServerBuilder();
        builder.setEndpointsProviders(endpoints.build());
        LeshanServer server = builder.build();
        server.start();
        System.out.println(server.getEndpoint(Protocol.COAP).getURI());
        while (System.in.read() >= 0) {
            // Lives as long as the script that started it.
        }
        server.destroy();
        System.exit(0);
    }
}

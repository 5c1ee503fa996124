package tinsmith.bench;

import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.HexFormat;

import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.peer.OscoreIdentity;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.servers.security.SecurityStore;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

/**
 * A Leshan server as its library makes it, in memory, on free ports of the loopback address. It
 * prints its URIs, without and with DTLS, and ends when its input does. With DTLS it knows every
 * device as the one that its identity names, with the key of the only argument, if there is one.
 */
public final class Incumbent {
    private Incumbent() {
    }

    public static void main(String[] arguments) throws Exception {
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        CaliforniumServerEndpointsProvider.Builder endpoints = new CaliforniumServerEndpointsProvider.Builder(
                new CoapServerProtocolProvider(), new CoapsServerProtocolProvider());
        endpoints.addEndpoint(address, Protocol.COAP);
        endpoints.addEndpoint(address, Protocol.COAPS);
        LeshanServerBuilder builder = new LeshanServerBuilder();
        builder.setEndpointsProviders(endpoints.build());
        if (arguments.length > 0) {
            builder.setSecurityStore(new Everybody(HexFormat.of().parseHex(arguments[0])));
        }
        LeshanServer server = builder.build();
        server.start();
        System.out.println(server.getEndpoint(Protocol.COAP).getURI());
        System.out.println(server.getEndpoint(Protocol.COAPS).getURI());
        while (System.in.read() >= 0) {
            // Lives as long as the script that started it.
        }
        server.destroy();
        System.exit(0);
    }

    private record Everybody(byte[] key) implements SecurityStore {
        @Override
        public SecurityInfo getByEndpoint(String endpoint) {
            return SecurityInfo.newPreSharedKeyInfo(endpoint, endpoint, key);
        }

        @Override
        public SecurityInfo getByIdentity(String identity) {
            return SecurityInfo.newPreSharedKeyInfo(identity, identity, key);
        }

        @Override
        public SecurityInfo getByOscoreIdentity(OscoreIdentity identity) {
            return null;
        }
    }
}

package tinsmith.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Collection;
import java.util.HexFormat;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.leshan.core.endpoint.Protocol;
import org.eclipse.leshan.core.node.codec.CodecException;
import org.eclipse.leshan.core.observation.CompositeObservation;
import org.eclipse.leshan.core.observation.Observation;
import org.eclipse.leshan.core.observation.SingleObservation;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkDeviceManagementRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.request.exception.InvalidRequestException;
import org.eclipse.leshan.core.request.exception.InvalidResponseException;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveCompositeResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.server.LeshanServer;
import org.eclipse.leshan.server.LeshanServerBuilder;
import org.eclipse.leshan.server.observation.ObservationListener;
import org.eclipse.leshan.server.registration.Registration;
import org.eclipse.leshan.server.registration.RegistrationListener;
import org.eclipse.leshan.server.registration.RegistrationUpdate;
import org.eclipse.leshan.servers.security.InMemorySecurityStore;
import org.eclipse.leshan.servers.security.NonUniqueSecurityInfoException;
import org.eclipse.leshan.servers.security.SecurityInfo;
import org.eclipse.leshan.transport.californium.server.endpoint.CaliforniumServerEndpointsProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coap.CoapServerProtocolProvider;
import org.eclipse.leshan.transport.californium.server.endpoint.coaps.CoapsServerProtocolProvider;

/**
 * A Leshan server that a test drives, on free ports of the loopback address: see README.md for its
 * arguments and the lines it reads and writes.
 */
public final class Site {
    private static final long PATIENCE_MS = 20_000;
    private static final String USAGE = "usage: [--cid LENGTH] [--rpk PUBLIC PRIVATE]";

    private final InMemorySecurityStore secrets = new InMemorySecurityStore();
    private final LeshanServer server;

    private Site(String[] arguments) throws GeneralSecurityException {
        CaliforniumServerEndpointsProvider.Builder endpoints =
                new CaliforniumServerEndpointsProvider.Builder(new CoapServerProtocolProvider(),
                        new CoapsServerProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        // CCM_8 is none of those that Scandium recommends.
        configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
        LeshanServerBuilder builder = new LeshanServerBuilder();
        for (int at = 0; at < arguments.length; at++) {
            switch (arguments[at]) {
            case "--cid" -> configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH,
                    Integer.valueOf(arguments[++at]));
            case "--rpk" -> {
                builder.setPublicKey(publicKey(arguments[++at]));
                builder.setPrivateKey(KeyFactory.getInstance("EC")
                        .generatePrivate(new PKCS8EncodedKeySpec(bytes(arguments[++at]))));
            }
            default -> throw new IllegalArgumentException(arguments[at]);
            }
        }
        endpoints.setConfiguration(configuration);
        InetSocketAddress address = new InetSocketAddress(InetAddress.getLoopbackAddress(), 0);
        endpoints.addEndpoint(address, Protocol.COAP);
        endpoints.addEndpoint(address, Protocol.COAPS);
        builder.setEndpointsProviders(endpoints.build());
        builder.setSecurityStore(secrets);
        server = builder.build();
        server.getRegistrationService().addListener(new Registrations());
        server.getObservationService().addListener(new Observations());
    }

    public static void main(String[] arguments) throws Exception {
        Site site;
        try {
            site = new Site(arguments);
        } catch (IllegalArgumentException | ArrayIndexOutOfBoundsException e) {
            System.err.println(USAGE);
            System.exit(2);
            return;
        }
        site.server.start();
        for (Protocol protocol : new Protocol[] { Protocol.COAP, Protocol.COAPS }) {
            Report.line("listens", site.server.getEndpoint(protocol).getURI().toString());
        }
        site.obey();
        site.server.destroy();
        System.exit(0);
    }

    /** Carries out the lines of standard input until it closes. */
    private void obey() throws IOException, InterruptedException, GeneralSecurityException {
        BufferedReader input = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
            case "psk" -> allow(
                    SecurityInfo.newPreSharedKeyInfo(words[1], words[2], bytes(words[3])));
            case "rpk" -> allow(SecurityInfo.newRawPublicKeyInfo(words[1], publicKey(words[2])));
            case "forget" -> {
                secrets.remove(words[1], true);
                Report.line("forgotten", words[1]);
            }
            case "read" -> ask(words, new ReadRequest(format(words), words[2]));
            case "observe" -> ask(words, new ObserveRequest(format(words), words[2]));
            case "discover" -> ask(words, new DiscoverRequest(words[2]));
            case "execute" -> ask(words, new ExecuteRequest(words[2]));
            case "write" -> ask(words, write(words));
            default -> System.err.println("unknown command: " + line);
            }
        }
    }

    private void allow(SecurityInfo info) {
        try {
            secrets.add(info);
            Report.line("allowed", info.getEndpoint());
        } catch (NonUniqueSecurityInfoException e) {
            Report.line("failed", "allow", info.getEndpoint());
        }
    }

    private static ContentFormat format(String[] words) {
        return words.length > 3 ? ContentFormat.fromName(words[3]) : null;
    }

    /** A resource of a number, if it is one, else of text. */
    private static WriteRequest write(String[] words) {
        String[] path = words[2].substring(1).split("/");
        int object = Integer.parseInt(path[0]);
        int instance = Integer.parseInt(path[1]);
        int resource = Integer.parseInt(path[2]);
        ContentFormat format = ContentFormat.fromName(words[3]);
        if (words[4].chars().allMatch(Character::isDigit)) {
            return new WriteRequest(format, object, instance, resource, Long.parseLong(words[4]));
        }
        return new WriteRequest(format, object, instance, resource, words[4]);
    }

    /** Sends a request to the device of words[1] and reports its answer. */
    private <T extends LwM2mResponse> void ask(String[] words,
            DownlinkDeviceManagementRequest<T> request) throws InterruptedException {
        Registration registration = server.getRegistrationStore()
                .getRegistrationByEndpoint(words[1]);
        if (registration == null) {
            Report.line("failed", words[0], words[1], "it is not registered");
            return;
        }
        try {
            T response = server.send(registration, request, PATIENCE_MS);
            if (response == null) {
                Report.line("timeout", words[0], words[1], words[2]);
            } else {
                Report.line(words[0], words[1], words[2], Report.code(response.getCode()),
                        content(response));
            }
        } catch (CodecException | InvalidResponseException | InvalidRequestException e) {
            Report.line("failed", words[0], words[1], words[2], e.toString());
        }
    }

    private static String content(LwM2mResponse response) {
        if (response instanceof ReadResponse read && read.getContent() != null) {
            return read.getContent().toString();
        }
        if (response instanceof DiscoverResponse discover && discover.getObjectLinks() != null) {
            StringBuilder links = new StringBuilder();
            for (Object link : discover.getObjectLinks()) {
                links.append(link);
            }
            return links.toString();
        }
        return response.getErrorMessage() == null ? "-" : response.getErrorMessage();
    }

    private static byte[] bytes(String digits) {
        return HexFormat.of().parseHex(digits);
    }

    private static PublicKey publicKey(String digits) throws GeneralSecurityException {
        return KeyFactory.getInstance("EC").generatePublic(new X509EncodedKeySpec(bytes(digits)));
    }

    private static final class Registrations implements RegistrationListener {
        @Override
        public void registered(Registration registration, Registration previous,
                Collection<Observation> observations) {
            Report.line("registered", registration.getEndpoint(),
                    registration.getLwM2mVersion().toString(),
                    registration.getClientTransportData().getIdentity().toString());
        }

        @Override
        public void updated(RegistrationUpdate update, Registration updated,
                Registration previous) {
            Report.line("updated", updated.getEndpoint());
        }

        @Override
        public void unregistered(Registration registration, Collection<Observation> observations,
                boolean expired, Registration next) {
            Report.line("unregistered", registration.getEndpoint());
        }
    }

    private static final class Observations implements ObservationListener {
        @Override
        public void newObservation(Observation observation, Registration registration) {
            // The answer to the request tells it.
        }

        @Override
        public void cancelled(Observation observation) {
            // Not asked for.
        }

        @Override
        public void onResponse(SingleObservation observation, Registration registration,
                ObserveResponse response) {
            Report.line("notified", registration.getEndpoint(), observation.getPath().toString(),
                    Report.code(response.getCode()), content(response));
        }

        @Override
        public void onResponse(CompositeObservation observation, Registration registration,
                ObserveCompositeResponse response) {
            // No test asks for several resources at once.
        }

        @Override
        public void onError(Observation observation, Registration registration, Exception error) {
            Report.line("failed", "notification", registration.getEndpoint(), error.toString());
        }
    }
}

package tinsmith.peer;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

import org.eclipse.californium.core.config.CoapConfig;
import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.leshan.client.LeshanClient;
import org.eclipse.leshan.client.LeshanClientBuilder;
import org.eclipse.leshan.client.object.Server;
import org.eclipse.leshan.client.observer.LwM2mClientObserverAdapter;
import org.eclipse.leshan.client.resource.LwM2mInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mObjectEnabler;
import org.eclipse.leshan.client.resource.ObjectsInitializer;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.LwM2mId;
import org.eclipse.leshan.core.ResponseCode;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.request.BootstrapRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.DeregisterRequest;
import org.eclipse.leshan.core.request.RegisterRequest;
import org.eclipse.leshan.core.request.UpdateRequest;
import org.eclipse.leshan.transport.californium.client.endpoint.CaliforniumClientEndpointsProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coap.CoapClientProtocolProvider;
import org.eclipse.leshan.transport.californium.client.endpoint.coaps.CoapsClientProtocolProvider;

/**
 * A Leshan client that a test drives: see README.md for its arguments and the lines it reads and
 * writes.
 */
public final class Main {
    private static final int SHORT_SERVER_ID = 1;
    private static final int MAX_PACKAGE = 1 << 20;
    private static final String USAGE = "usage: ENDPOINT (--server | --bootstrap) URI [LIFETIME] "
            + "[--cid LENGTH] [--psk IDENTITY KEY | (--rpk | --x509) OWN KEY SERVER]";

    private final DeviceObject device = new DeviceObject();
    private final AtomicReference<ContentFormat> format = new AtomicReference<>(
            ContentFormat.DEFAULT);
    private final LeshanClient client;

    private Main(String endpoint, boolean bootstrap, String uri, long lifetime, Secrets secrets) {
        ObjectsInitializer objects = new Initializer();
        if (bootstrap) {
            objects.setInstancesForObject(LwM2mId.SECURITY, secrets.security(uri, null));
            objects.setClassForObject(LwM2mId.SERVER, Server.class);
        } else {
            objects.setInstancesForObject(LwM2mId.SECURITY,
                    secrets.security(uri, SHORT_SERVER_ID));
            objects.setInstancesForObject(LwM2mId.SERVER, new Server(SHORT_SERVER_ID, lifetime));
        }
        objects.setInstancesForObject(LwM2mId.DEVICE, device);
        objects.setInstancesForObject(LwM2mId.FIRMWARE, new FirmwareObject());

        CaliforniumClientEndpointsProvider.Builder endpoints =
                new CaliforniumClientEndpointsProvider.Builder(new CoapClientProtocolProvider(),
                        new CoapsClientProtocolProvider());
        Configuration configuration = endpoints.createDefaultConfiguration();
        configuration.set(CoapConfig.MAX_RESOURCE_BODY_SIZE, MAX_PACKAGE);
        secrets.configure(configuration);
        endpoints.setConfiguration(configuration);

        LeshanClientBuilder builder = new LeshanClientBuilder(endpoint);
        builder.setObjects(objects.createAll());
        builder.setEndpointsProviders(endpoints.build());
        client = builder.build();
        client.addObserver(new Observer());
    }

    public static void main(String[] arguments) throws IOException {
        boolean good = arguments.length >= 3;
        if (!good || !(arguments[1].equals("--server") || arguments[1].equals("--bootstrap"))) {
            System.err.println(USAGE);
            System.exit(2);
        }
        boolean hasLifetime = arguments.length > 3 && !arguments[3].startsWith("--");
        long lifetime = hasLifetime ? Long.parseLong(arguments[3]) : 60;
        List<String> rest = List.of(arguments).subList(hasLifetime ? 4 : 3, arguments.length);
        Main main = new Main(arguments[0], arguments[1].equals("--bootstrap"), arguments[2],
                lifetime, new Secrets(rest));
        main.client.start();
        main.obey();
        main.client.destroy(true);
        System.exit(0);
    }

    /** Carries out the lines of standard input until it closes. */
    private void obey() throws IOException {
        BufferedReader input = new BufferedReader(
                new InputStreamReader(System.in, StandardCharsets.US_ASCII));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
            case "battery" -> device.setBattery(Long.parseLong(words[1]));
            case "update" -> client.triggerRegistrationUpdate();
            case "format" -> {
                format.set(ContentFormat.fromName(words[1]));
                Report.line("format", words[1]);
            }
            default -> System.err.println("unknown command: " + line);
            }
        }
    }

    /** Makes objects that report their requests. */
    private final class Initializer extends ObjectsInitializer {
        @Override
        protected LwM2mObjectEnabler createNodeEnabler(ObjectModel model) {
            Map<Integer, LwM2mInstanceEnabler> enablers = new HashMap<>();
            LwM2mInstanceEnabler[] made = createInstances(model);
            for (int i = 0; i < made.length; i++) {
                made[i].setId(i);
                made[i].setModel(model);
                enablers.put(i, made[i]);
            }
            return new ReportingObject(model, enablers, getFactoryFor(model), format);
        }
    }

    /** Reports what the client does on its own. */
    private static final class Observer extends LwM2mClientObserverAdapter {
        @Override
        public void onBootstrapSuccess(LwM2mServer server, BootstrapRequest request) {
            Report.line("bootstrapped");
        }

        @Override
        public void onBootstrapFailure(LwM2mServer server, BootstrapRequest request,
                ResponseCode code, String message, Exception cause) {
            failed("bootstrap", code, message, cause);
        }

        @Override
        public void onBootstrapTimeout(LwM2mServer server, BootstrapRequest request) {
            Report.line("timeout", "bootstrap");
        }

        @Override
        public void onRegistrationSuccess(LwM2mServer server, RegisterRequest request,
                String registration) {
            Report.line("registered", registration);
        }

        @Override
        public void onRegistrationFailure(LwM2mServer server, RegisterRequest request,
                ResponseCode code, String message, Exception cause) {
            failed("register", code, message, cause);
        }

        @Override
        public void onRegistrationTimeout(LwM2mServer server, RegisterRequest request) {
            Report.line("timeout", "register");
        }

        @Override
        public void onUpdateSuccess(LwM2mServer server, UpdateRequest request) {
            Report.line("updated");
        }

        @Override
        public void onUpdateFailure(LwM2mServer server, UpdateRequest request, ResponseCode code,
                String message, Exception cause) {
            failed("update", code, message, cause);
        }

        @Override
        public void onDeregistrationSuccess(LwM2mServer server, DeregisterRequest request) {
            Report.line("deregistered");
        }

        private static void failed(String what, ResponseCode code, String message,
                Exception cause) {
            String answer = code == null ? "-" : Report.code(code);
            Report.line("failed", what, answer, message == null ? "-" : message);
            if (cause != null) {
                System.err.println(cause);
            }
        }
    }
}

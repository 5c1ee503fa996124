package tinsmith.peer;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;

import org.eclipse.californium.elements.config.Configuration;
import org.eclipse.californium.scandium.config.DtlsConfig;
import org.eclipse.leshan.client.object.Security;

/** By what the client proves who it is, and what it asks for in a handshake: the arguments after the lifetime. */
final class Secrets {
    private final List<String> proof = new ArrayList<>();
    private Integer connectionId;

    /** Throws IllegalArgumentException for arguments that are none. */
    Secrets(List<String> arguments) {
        List<String> rest = new ArrayList<>(arguments);
        if (rest.size() >= 2 && rest.get(0).equals("--cid")) {
            connectionId = Integer.valueOf(rest.get(1));
            rest = rest.subList(2, rest.size());
        }
        if (!rest.isEmpty()) {
            int expected = switch (rest.get(0)) {
            case "--psk" -> 3;
            case "--rpk", "--x509" -> 4;
            default -> 0;
            };
            if (rest.size() != expected) {
                throw new IllegalArgumentException(String.join(" ", rest));
            }
        }
        proof.addAll(rest);
    }

    /** The Security object of a server for management, or for bootstrap if it has no id. */
    Security security(String uri, Integer id) {
        boolean bootstraps = id == null;
        if (proof.isEmpty()) {
            return bootstraps ? Security.noSecBootstrap(uri) : Security.noSec(uri, id);
        }
        switch (proof.get(0)) {
        case "--psk" -> {
            byte[] identity = proof.get(1).getBytes(StandardCharsets.UTF_8);
            byte[] key = bytes(2);
            return bootstraps ? Security.pskBootstrap(uri, identity, key)
                    : Security.psk(uri, id, identity, key);
        }
        case "--rpk" -> {
            return bootstraps ? Security.rpkBootstrap(uri, bytes(1), bytes(2), bytes(3))
                    : Security.rpk(uri, id, bytes(1), bytes(2), bytes(3));
        }
        default -> {
            return bootstraps ? Security.x509Bootstrap(uri, bytes(1), bytes(2), bytes(3))
                    : Security.x509(uri, id, bytes(1), bytes(2), bytes(3));
        }
        }
    }

    void configure(Configuration configuration) {
        if (connectionId != null) {
            configuration.set(DtlsConfig.DTLS_CONNECTION_ID_LENGTH, connectionId);
        }
        // CCM_8 is none of those that Scandium recommends.
        configuration.set(DtlsConfig.DTLS_RECOMMENDED_CIPHER_SUITES_ONLY, false);
    }

    private byte[] bytes(int at) {
        return HexFormat.of().parseHex(proof.get(at));
    }
}

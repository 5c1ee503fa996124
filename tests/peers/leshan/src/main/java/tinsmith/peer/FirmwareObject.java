package tinsmith.peer;

import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;

import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/**
 * Object 5, push only: takes any package, reports its length and SHA-256, always succeeds.
 * Public because Leshan makes instances by reflection.
 */
public final class FirmwareObject extends BaseInstanceEnabler {
    private static final int PACKAGE = 0;
    private static final int UPDATE = 2;
    private static final int STATE = 3;
    private static final int RESULT = 5;
    private static final int DELIVERY = 9;
    private static final List<Integer> RESOURCES = List.of(PACKAGE, UPDATE, STATE, RESULT,
            DELIVERY);

    private static final long IDLE = 0;
    private static final long DOWNLOADED = 2;
    private static final long INITIAL = 0;
    private static final long SUCCESS = 1;
    private static final long PUSH = 1;

    private long state = IDLE;
    private long result = INITIAL;

    @Override
    public synchronized ReadResponse read(LwM2mServer server, int resource) {
        return switch (resource) {
        case STATE -> ReadResponse.success(resource, state);
        case RESULT -> ReadResponse.success(resource, result);
        case DELIVERY -> ReadResponse.success(resource, PUSH);
        default -> super.read(server, resource);
        };
    }

    @Override
    public synchronized WriteResponse write(LwM2mServer server, boolean replace, int resource,
            LwM2mResource value) {
        if (resource != PACKAGE) {
            return super.write(server, replace, resource, value);
        }
        byte[] bytes = (byte[]) value.getValue();
        Report.line("package", bytes.length, sha256(bytes));
        become(bytes.length <= 1 ? IDLE : DOWNLOADED, INITIAL);
        return WriteResponse.success();
    }

    @Override
    public synchronized ExecuteResponse execute(LwM2mServer server, int resource,
            Arguments arguments) {
        if (resource != UPDATE) {
            return super.execute(server, resource, arguments);
        }
        if (state != DOWNLOADED) {
            return ExecuteResponse.methodNotAllowed();
        }
        become(IDLE, SUCCESS);
        return ExecuteResponse.success();
    }

    @Override
    public List<Integer> getAvailableResourceIds(ObjectModel model) {
        return RESOURCES;
    }

    private void become(long newState, long newResult) {
        state = newState;
        result = newResult;
        fireResourcesChange(getResourcePaths(STATE, RESULT));
    }

    private static String sha256(byte[] bytes) {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException(e);
        }
    }
}

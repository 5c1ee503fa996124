package tinsmith.peer;

import java.util.Date;
import java.util.List;
import java.util.Map;

import org.eclipse.leshan.client.resource.BaseInstanceEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.model.ResourceModel.Type;
import org.eclipse.leshan.core.node.LwM2mResource;
import org.eclipse.leshan.core.request.argument.Arguments;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/**
 * Object 3: fixed identity, a battery that the test moves, a clock offset that a server writes.
 * Public because Leshan makes instances by reflection.
 */
public final class DeviceObject extends BaseInstanceEnabler {
    private static final int MANUFACTURER = 0;
    private static final int MODEL = 1;
    private static final int SERIAL = 2;
    private static final int REBOOT = 4;
    private static final int BATTERY_LEVEL = 9;
    private static final int ERROR_CODE = 11;
    private static final int RESET_ERROR_CODE = 12;
    private static final int CURRENT_TIME = 13;
    private static final int UTC_OFFSET = 14;
    private static final int TIMEZONE = 15;
    private static final int BINDING = 16;
    private static final List<Integer> RESOURCES = List.of(MANUFACTURER, MODEL, SERIAL, REBOOT,
            BATTERY_LEVEL, ERROR_CODE, RESET_ERROR_CODE, CURRENT_TIME, UTC_OFFSET, TIMEZONE,
            BINDING);

    private long battery = 100;
    private long error = 1;
    private String offset = "+00:00";
    private String timezone = "Etc/UTC";

    synchronized void setBattery(long percent) {
        battery = percent;
        fireResourceChange(BATTERY_LEVEL);
    }

    @Override
    public synchronized ReadResponse read(LwM2mServer server, int resource) {
        return switch (resource) {
        case MANUFACTURER -> ReadResponse.success(resource, "Tinsmith tests");
        case MODEL -> ReadResponse.success(resource, "Leshan 2.0.0-M18");
        case SERIAL -> ReadResponse.success(resource, "0001");
        case BATTERY_LEVEL -> ReadResponse.success(resource, battery);
        case ERROR_CODE -> ReadResponse.success(resource, Map.of(0, error), Type.INTEGER);
        case CURRENT_TIME -> ReadResponse.success(resource, new Date());
        case UTC_OFFSET -> ReadResponse.success(resource, offset);
        case TIMEZONE -> ReadResponse.success(resource, timezone);
        case BINDING -> ReadResponse.success(resource, "U");
        default -> super.read(server, resource);
        };
    }

    @Override
    public synchronized WriteResponse write(LwM2mServer server, boolean replace, int resource,
            LwM2mResource value) {
        switch (resource) {
        case UTC_OFFSET -> offset = (String) value.getValue();
        case TIMEZONE -> timezone = (String) value.getValue();
        default -> {
            return super.write(server, replace, resource, value);
        }
        }
        fireResourceChange(resource);
        return WriteResponse.success();
    }

    @Override
    public synchronized ExecuteResponse execute(LwM2mServer server, int resource,
            Arguments arguments) {
        switch (resource) {
        case REBOOT -> {
            return ExecuteResponse.success();
        }
        case RESET_ERROR_CODE -> {
            error = 0;
            fireResourceChange(ERROR_CODE);
            return ExecuteResponse.success();
        }
        default -> {
            return super.execute(server, resource, arguments);
        }
        }
    }

    @Override
    public List<Integer> getAvailableResourceIds(ObjectModel model) {
        return RESOURCES;
    }
}

package tinsmith.peer;

import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;

import org.eclipse.leshan.client.resource.LwM2mInstanceEnabler;
import org.eclipse.leshan.client.resource.LwM2mInstanceEnablerFactory;
import org.eclipse.leshan.client.resource.ObjectEnabler;
import org.eclipse.leshan.client.servers.LwM2mServer;
import org.eclipse.leshan.core.model.ObjectModel;
import org.eclipse.leshan.core.node.LwM2mNode;
import org.eclipse.leshan.core.node.LwM2mSingleResource;
import org.eclipse.leshan.core.request.BootstrapDeleteRequest;
import org.eclipse.leshan.core.request.BootstrapDiscoverRequest;
import org.eclipse.leshan.core.request.BootstrapReadRequest;
import org.eclipse.leshan.core.request.BootstrapWriteRequest;
import org.eclipse.leshan.core.request.ContentFormat;
import org.eclipse.leshan.core.request.CreateRequest;
import org.eclipse.leshan.core.request.DeleteRequest;
import org.eclipse.leshan.core.request.DiscoverRequest;
import org.eclipse.leshan.core.request.DownlinkRequest;
import org.eclipse.leshan.core.request.ExecuteRequest;
import org.eclipse.leshan.core.request.ObserveRequest;
import org.eclipse.leshan.core.request.ReadRequest;
import org.eclipse.leshan.core.request.WriteAttributesRequest;
import org.eclipse.leshan.core.request.WriteRequest;
import org.eclipse.leshan.core.response.BootstrapDeleteResponse;
import org.eclipse.leshan.core.response.BootstrapDiscoverResponse;
import org.eclipse.leshan.core.response.BootstrapReadResponse;
import org.eclipse.leshan.core.response.BootstrapWriteResponse;
import org.eclipse.leshan.core.response.CreateResponse;
import org.eclipse.leshan.core.response.DeleteResponse;
import org.eclipse.leshan.core.response.DiscoverResponse;
import org.eclipse.leshan.core.response.ExecuteResponse;
import org.eclipse.leshan.core.response.LwM2mResponse;
import org.eclipse.leshan.core.response.ObserveResponse;
import org.eclipse.leshan.core.response.ReadResponse;
import org.eclipse.leshan.core.response.WriteAttributesResponse;
import org.eclipse.leshan.core.response.WriteResponse;

/** Leshan's own object, which also reports each request and its response code. */
final class ReportingObject extends ObjectEnabler {
    private final AtomicReference<ContentFormat> format;

    /** Answers to requests without Accept are in `format`, whatever it is at that moment. */
    ReportingObject(ObjectModel model, Map<Integer, LwM2mInstanceEnabler> instances,
            LwM2mInstanceEnablerFactory factory, AtomicReference<ContentFormat> format) {
        super(model.id, model, instances, factory, ContentFormat.DEFAULT);
        this.format = format;
    }

    @Override
    public ContentFormat getDefaultEncodingFormat(DownlinkRequest<?> request) {
        return format.get();
    }

    @Override
    public synchronized ReadResponse read(LwM2mServer server, ReadRequest request) {
        ReadResponse response = super.read(server, request);
        return server.isSystem() ? response
                : report(response, "read", request.getPath(), name(request.getContentFormat()));
    }

    @Override
    public synchronized ObserveResponse observe(LwM2mServer server, ObserveRequest request) {
        return report(super.observe(server, request), "observe", request.getPath(),
                name(request.getContentFormat()));
    }

    @Override
    public synchronized WriteResponse write(LwM2mServer server, WriteRequest request) {
        return report(super.write(server, request), "write", request.getPath(),
                name(request.getContentFormat()), value(request.getNode()));
    }

    @Override
    public synchronized ExecuteResponse execute(LwM2mServer server, ExecuteRequest request) {
        String arguments = request.getArguments().isEmpty() ? "-"
                : request.getArguments().serialize();
        return report(super.execute(server, request), "execute", request.getPath(), arguments);
    }

    @Override
    public synchronized CreateResponse create(LwM2mServer server, CreateRequest request) {
        return report(super.create(server, request), "create", request.getPath());
    }

    @Override
    public synchronized DeleteResponse delete(LwM2mServer server, DeleteRequest request) {
        return report(super.delete(server, request), "delete", request.getPath());
    }

    @Override
    public synchronized DiscoverResponse discover(LwM2mServer server, DiscoverRequest request) {
        return report(super.discover(server, request), "discover", request.getPath());
    }

    @Override
    public synchronized WriteAttributesResponse writeAttributes(LwM2mServer server,
            WriteAttributesRequest request) {
        return report(super.writeAttributes(server, request), "write-attributes",
                request.getPath(), request.getAttributes());
    }

    @Override
    public BootstrapReadResponse read(LwM2mServer server, BootstrapReadRequest request) {
        return report(super.read(server, request), "bootstrap-read", request.getPath());
    }

    @Override
    public synchronized BootstrapWriteResponse write(LwM2mServer server,
            BootstrapWriteRequest request) {
        return report(super.write(server, request), "bootstrap-write", request.getPath(),
                name(request.getContentFormat()));
    }

    @Override
    public synchronized BootstrapDeleteResponse delete(LwM2mServer server,
            BootstrapDeleteRequest request) {
        return report(super.delete(server, request), "bootstrap-delete", request.getPath());
    }

    @Override
    public synchronized BootstrapDiscoverResponse discover(LwM2mServer server,
            BootstrapDiscoverRequest request) {
        return report(super.discover(server, request), "bootstrap-discover", request.getPath());
    }

    private static <T extends LwM2mResponse> T report(T response, Object... words) {
        Object[] all = new Object[words.length + 1];
        System.arraycopy(words, 0, all, 0, words.length);
        all[words.length] = Report.code(response.getCode());
        Report.line(all);
        return response;
    }

    private static String name(ContentFormat format) {
        return format == null ? "-" : format.getName();
    }

    /** The value of a single resource; `-` for anything bigger and for opaque values. */
    private static Object value(LwM2mNode node) {
        if (node instanceof LwM2mSingleResource resource
                && !(resource.getValue() instanceof byte[])) {
            return resource.getValue();
        }
        return "-";
    }
}

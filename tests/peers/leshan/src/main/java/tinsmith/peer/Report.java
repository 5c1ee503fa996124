package tinsmith.peer;

import org.eclipse.leshan.core.ResponseCode;

/** Lines on standard output, one per thing that happened, for a test to read. */
final class Report {
    private Report() {
    }

    static synchronized void line(Object... words) {
        StringBuilder line = new StringBuilder();
        for (Object word : words) {
            line.append(line.length() == 0 ? "" : " ").append(word);
        }
        System.out.println(line);
        System.out.flush();
    }

    /** A response code as CoAP writes it, for example 2.05. */
    static String code(ResponseCode code) {
        return String.format("%d.%02d", code.getCode() / 100, code.getCode() % 100);
    }
}

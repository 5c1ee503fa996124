//! What a device is asked.

use super::device::Asked;
use super::{Output, Reconciler};
use tinsmith_lwm2m::{DeviceRequest, Endpoint, Now, Operation, RequestId};

/// A request that could not be sent or answered is asked again after this time (ms).
const REQUEST: u64 = 120_000;
/// A push lives as long as it makes progress; this only bounds a forgotten one (ms).
const PUSH: u64 = 6 * 3_600_000;

impl Reconciler {
    pub(super) fn request(
        &mut self,
        now: Now,
        endpoint: &Endpoint,
        asked: Asked,
        operation: Operation,
    ) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        self.count += 1;
        let id = RequestId(self.count);
        let life = if asked == Asked::Push { PUSH } else { REQUEST };
        device.asked = Some((id, asked));
        self.requests.insert(id, endpoint.clone());
        self.output.push_back(Output::Request(DeviceRequest {
            id,
            endpoint: endpoint.clone(),
            operation,
            expires: now.wall + life,
            durable: false,
        }));
    }

    pub(super) fn forget_request(&mut self, endpoint: &Endpoint) {
        let Some(device) = self.devices.get_mut(endpoint) else {
            return;
        };
        if let Some((id, _)) = device.asked.take() {
            self.requests.remove(&id);
            self.output
                .push_back(Output::Withdraw(endpoint.clone(), id));
        }
        device.unwatch();
    }
}

//! Devices, network, server and disk, from one moment at which something happens to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use lwm2m_objects::{OwnedValue, Path};
use tinsmith_coap::Message;
use tinsmith_lwm2m::{Operation, Outcome, RequestId};
use tinsmith_update::{Ask, AskId, Command, Status};

use crate::chance::Chance;
use crate::device::Device;
use crate::disk::Disk;
use crate::heard::execute;
use crate::models;
use crate::network::{Datagram, Network, Weather};
use crate::server::{Server, Told, Waits};
use crate::signers::Signers;

/// More moments than any story has: something runs in circles.
const MOMENTS: u32 = 2_000_000;
/// Milliseconds that a request of the world may take.
const PATIENCE: u64 = 900_000;

/// Everything there is.
pub struct World {
    /// Milliseconds since the world began.
    pub now: u64,
    /// All devices.
    pub devices: Vec<Device>,
    /// Between them and the server.
    pub network: Network,
    /// The server's store.
    pub disk: Disk<Waits>,
    /// `None` while it is down.
    pub server: Option<Server>,
    /// What servers that were killed had told.
    pub told: Told,
    /// Tokens under which a device was told to execute its [`Counter`](crate::Counter), by
    /// arguments.
    pub executes: BTreeMap<String, BTreeSet<Vec<u8>>>,
    /// Decides what the story leaves open.
    pub chance: Chance,
    /// What the server signs with.
    signers: Signers,
    shards: usize,
    next_port: u16,
    moments: u32,
}

impl World {
    /// A server that has just started and devices that are switched on one after the other.
    pub fn new(seed: u64, endpoints: &[&'static str], shards: usize, weather: Weather) -> Self {
        let mut chance = Chance::new(seed);
        let disk = Disk::new(chance.number());
        let parts = (&disk, Signers::default());
        let server = Server::start(shards, chance.number(), 0, parts, Told::default());
        let mut world = Self {
            now: 0,
            devices: Vec::new(),
            network: Network::new(chance.number(), weather),
            disk,
            server: Some(server),
            told: Told::default(),
            executes: BTreeMap::new(),
            signers: Signers::default(),
            chance,
            shards,
            next_port: 40_000,
            moments: 0,
        };
        for endpoint in endpoints {
            let address = world.fresh_address();
            let seed = world.chance.number();
            let on = world.chance.between(0, 5_000);
            world.devices.push(Device::new(endpoint, address, seed, on));
        }
        world
    }

    fn fresh_address(&mut self) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::from((Ipv4Addr::new(198, 51, 100, 7), self.next_port))
    }

    /// The NAT in front of a device forgets it: what is sent to its old address is lost.
    pub fn rebind(&mut self, device: usize) {
        self.devices[device].address = self.fresh_address();
    }

    /// The server is killed.
    pub fn kill_server(&mut self) {
        if let Some(server) = self.server.take() {
            self.told = server.told;
        }
        self.disk.cut();
    }

    /// The server starts on what is durable.
    pub fn start_server(&mut self) {
        let seed = self.chance.number() >> 8;
        let told = std::mem::take(&mut self.told);
        let parts = (&self.disk, self.signers.clone());
        let server = Server::start(self.shards, seed, self.now, parts, told);
        self.server = Some(server);
        self.drain_server();
    }

    /// The server is killed, and starts again after so long (ms).
    pub fn cut_server(&mut self, off: u64) {
        self.kill_server();
        self.run_until(self.now + off);
        self.start_server();
    }

    /// The server signs with these keys, the newest first.
    pub fn sign_with(&mut self, signers: &[u8]) {
        self.signers = Signers::new(signers);
        if let Some(server) = &mut self.server {
            server.sign_with(self.now, self.signers.clone());
            self.drain_server();
        }
    }

    /// An operator decides, if the server runs.
    pub fn decide(&mut self, device: usize, command: Command) -> Option<AskId> {
        let endpoint = self.devices[device].endpoint;
        let id = self
            .server
            .as_mut()?
            .ask(self.now, endpoint, Ask::Decide(command));
        self.drain_server();
        Some(id)
    }

    /// An operator wants a model.
    pub fn want(&mut self, device: usize, model: &str) -> Option<AskId> {
        let command = Command::Want {
            model: model.to_owned(),
            version: "1".to_owned(),
            source: models::source(model),
            trial_s: 600,
        };
        self.decide(device, command)
    }

    /// Whether a decision is durable.
    pub fn is_stored(&self, id: AskId) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| server.stored.contains(&id))
    }

    /// How the server sees a device.
    pub fn status(&self, device: usize) -> Option<Status> {
        self.server.as_ref()?.status(self.devices[device].endpoint)
    }

    /// Lets time pass until `end`.
    pub fn run_until(&mut self, end: u64) {
        while self.step(end) {}
        self.now = end;
    }

    /// Lets time pass until something is so, for at most `limit` milliseconds; whether it is.
    pub fn run_while(&mut self, limit: u64, mut waits: impl FnMut(&Self) -> bool) -> bool {
        let end = self.now + limit;
        while waits(self) {
            if !self.step(end) {
                self.now = end;
                return !waits(self);
            }
        }
        true
    }

    /// The next moment before `end`; false if nothing happens until then.
    fn step(&mut self, end: u64) -> bool {
        let next = [
            self.network.next(),
            self.disk.next(),
            self.server.as_ref().and_then(Server::next),
        ];
        let devices = self.devices.iter().filter_map(Device::next);
        let Some(at) = next.into_iter().flatten().chain(devices).min() else {
            return false;
        };
        if at > end {
            return false;
        }
        self.moments += 1;
        assert!(self.moments < MOMENTS, "the world runs in circles");
        self.now = self.now.max(at);
        while let Some(datagram) = self.network.arrived(self.now) {
            self.deliver(&datagram);
        }
        while let Some((waits, result)) = self.disk.done(self.now) {
            if let Some(server) = &mut self.server {
                let sent = server.written(self.now, waits, result, &mut self.disk);
                self.send(sent);
            }
        }
        if let Some(server) = &mut self.server
            && server.next().is_some_and(|at| at <= self.now)
        {
            let sent = server.tick(self.now, &mut self.disk);
            self.send(sent);
        }
        for device in 0..self.devices.len() {
            if self.devices[device].next().is_some_and(|at| at <= self.now) {
                let sent = self.devices[device].tick(self.now);
                self.send_from(device, sent);
            }
        }
        true
    }

    fn deliver(&mut self, datagram: &Datagram) {
        let to = self
            .devices
            .iter()
            .position(|device| device.address == datagram.to);
        match (to, &mut self.server) {
            (Some(device), _) => {
                let sent = self.devices[device].take(self.now, datagram.from, &datagram.bytes);
                self.send_from(device, sent);
            }
            (None, Some(server)) if datagram.to.ip() == Ipv4Addr::new(10, 0, 0, 1) => {
                let sent = server.take(self.now, datagram, &mut self.disk);
                self.send(sent);
            }
            // Nobody is there.
            (None, _) => {}
        }
    }

    fn drain_server(&mut self) {
        if let Some(server) = &mut self.server {
            let sent = server.drain(self.now, &mut self.disk);
            self.send(sent);
        }
    }

    fn send(&mut self, datagrams: Vec<Datagram>) {
        for datagram in datagrams {
            if let Ok(message) = Message::parse(&datagram.bytes)
                && let Some(arguments) = execute(&message)
            {
                let token = message.token().as_bytes().to_vec();
                self.executes.entry(arguments).or_default().insert(token);
            }
            self.network.send(self.now, datagram);
        }
    }

    fn send_from(&mut self, device: usize, sent: Vec<(SocketAddr, Vec<u8>)>) {
        let from = self.devices[device].address;
        for (to, bytes) in sent {
            self.network.send(self.now, Datagram { from, to, bytes });
        }
    }

    /// Asks a device something and waits for the end; `None` if the server is down.
    pub fn request(&mut self, device: usize, operation: Operation) -> Option<Outcome> {
        let endpoint = self.devices[device].endpoint;
        let id = self
            .server
            .as_mut()?
            .request(self.now, endpoint, operation, 4 * PATIENCE, false);
        self.drain_server();
        let done = self.run_while(PATIENCE, |world| {
            let server = world.server.as_ref();
            server.is_some_and(|server| !server.told.ends.contains_key(&id))
        });
        assert!(done, "a request to {endpoint} never ends");
        self.server.as_mut()?.told.ends.remove(&id)?.pop()
    }

    /// Asks a device something that survives the server, if it runs.
    pub fn ask_durably(
        &mut self,
        device: usize,
        operation: Operation,
        life: u64,
    ) -> Option<RequestId> {
        let endpoint = self.devices[device].endpoint;
        let server = self.server.as_mut()?;
        let id = server.request(self.now, endpoint, operation, life, true);
        self.drain_server();
        Some(id)
    }

    /// Takes a request back, if the server runs.
    pub fn withdraw(&mut self, device: usize, id: RequestId) {
        let endpoint = self.devices[device].endpoint;
        if let Some(server) = &mut self.server {
            server.withdraw(self.now, endpoint, id);
            self.drain_server();
        }
    }

    /// Runs a device's model on a sample.
    ///
    /// # Errors
    /// How the device, or the way to it, failed.
    pub fn infer(&mut self, device: usize, input: &[u8]) -> Result<Vec<u8>, Outcome> {
        let path = Path::resource(27304, 0, 5);
        let value = OwnedValue::Opaque(input.to_vec());
        let write = Operation::write(path, vec![(path, value)], true);
        let path = Path::resource(27304, 0, 4);
        let run = Operation::Execute {
            path,
            arguments: String::new(),
        };
        for operation in [write, run] {
            match self.request(device, operation) {
                Some(Outcome::Done) => {}
                other => return Err(other.unwrap_or(Outcome::NotRegistered)),
            }
        }
        let path = Path::resource(27304, 0, 6);
        match self.request(device, Operation::read(path)) {
            Some(Outcome::Content(values)) => {
                let bytes = values.iter().find_map(|found| found.value.as_bytes());
                Ok(bytes.unwrap_or_default().to_vec())
            }
            other => Err(other.unwrap_or(Outcome::NotRegistered)),
        }
    }
}

//! DynamoDB as it is when it is asked too much: a door before the emulator's that turns some requests away.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::{Stack, command::boto};

/// The door. Functions go through it until it is dropped.
#[derive(Debug)]
pub struct Throttle {
    functions: &'static [&'static str],
    turned_away: Arc<AtomicU64>,
    /// One request in so many is turned away; none where it is 0.
    one_in: Arc<AtomicU64>,
    door: JoinHandle<()>,
}

/// The variable by which AWS's SDKs find DynamoDB elsewhere than the other services.
const ENDPOINT: &str = "AWS_ENDPOINT_URL_DYNAMODB";

impl Throttle {
    /// Has these functions go through a door that turns one request in `one_in` away, as far as chance has it.
    pub async fn before(stack: &Stack, functions: &'static [&'static str], one_in: u64) -> Self {
        let emulator = stack.var("AWS_ENDPOINT_URL").unwrap().strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let turned_away = Arc::new(AtomicU64::new(0));
        let one_in = Arc::new(AtomicU64::new(one_in));
        let (count, share) = (Arc::clone(&turned_away), Arc::clone(&one_in));
        let door = tokio::spawn(async move {
            for connection in 0.. {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(client, emulator.clone(), Arc::clone(&count), (connection, Arc::clone(&share))));
            }
        });
        let throttle = Self { functions, turned_away, one_in, door };
        configure(functions, &format!("variables[{ENDPOINT:?}] = {address:?}"));
        throttle
    }

    /// Turns nobody away any more. Dropped while functions run, it would end them: the emulator does so with a change of their
    /// environment.
    pub fn open(&self) {
        self.one_in.store(0, Ordering::Relaxed);
    }

    /// How many requests were turned away so far.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        configure(self.functions, &format!("variables.pop({ENDPOINT:?}, None)"));
        self.door.abort();
    }
}

/// Changes the environment of functions: `change` is Python, over `variables`.
fn configure(functions: &[&str], change: &str) {
    let names: Vec<String> = functions.iter().map(|function| format!("tieout-{function}")).collect();
    let script = format!(
        "import boto3\n\
         client = boto3.client('lambda')\n\
         for name in {names:?}:\n    \
             variables = client.get_function_configuration(FunctionName=name)['Environment']['Variables']\n    \
             {change}\n    \
             client.update_function_configuration(FunctionName=name, Environment={{'Variables': variables}})\n"
    );
    boto(&script).well();
}

/// Serves one connection: requests go on to the emulator, and some do not.
async fn serve(
    mut client: TcpStream,
    emulator: String,
    turned_away: Arc<AtomicU64>,
    (connection, one_in): (u64, Arc<AtomicU64>),
) {
    let Ok(mut server) = TcpStream::connect(&emulator).await else { return };
    for number in 0_u64.. {
        let Some(request) = message(&mut client).await else { return };
        // Some multiplier that spreads: which ones are turned away is the same every time, and has no pattern.
        let chance = (connection << 20 | number).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let one_in = one_in.load(Ordering::Relaxed);
        let answer = if one_in > 0 && chance.is_multiple_of(one_in) {
            turned_away.fetch_add(1, Ordering::Relaxed);
            refusal()
        } else {
            if server.write_all(&request).await.is_err() {
                return;
            }
            let Some(answer) = message(&mut server).await else { return };
            answer
        };
        if client.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn refusal() -> Vec<u8> {
    let body =
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"too much"}"#;
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-amz-json-1.0\r\nContent-Length:";
    format!("{head} {}\r\n\r\n{body}", body.len()).into_bytes()
}

/// A request or an answer, to the end of its body.
async fn message(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    loop {
        if let Some(end) = message.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&message[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length: usize = length.map_or(0, |length| length.trim().parse().unwrap());
            if message.len() >= end + 4 + length {
                return Some(message);
            }
        }
        if stream.read_buf(&mut message).await.ok()? == 0 {
            return None;
        }
    }
}

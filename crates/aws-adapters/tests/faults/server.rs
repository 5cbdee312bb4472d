//! A server that answers as a test has written down: what the local stack would never say, or only under load.

use std::sync::{Arc, Mutex};

use aws_adapters::{AccessKey, Overrides, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What is answered to the first request that has `to` in its head, once.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    to: &'static str,
    status: u16,
    headers: String,
    body: Vec<u8>,
    sent: usize,
}

impl Answer {
    pub(crate) fn new(to: &'static str, status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self { to, status, headers: String::new(), sent: body.len(), body }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// The connection breaks after this many bytes of the body.
    pub(crate) fn cut(self, sent: usize) -> Self {
        Self { sent, ..self }
    }

    fn bytes(&self) -> Vec<u8> {
        let Self { status, headers, body, .. } = self;
        let head =
            format!("HTTP/1.1 {status} Answer\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n", body.len());
        [head.as_bytes(), &body[..self.sent]].concat()
    }
}

/// The server, which ends with its test.
pub(crate) struct Server {
    pub(crate) session: Session,
    heads: Arc<Mutex<Vec<String>>>,
    answers: Arc<Mutex<Vec<Answer>>>,
}

impl Server {
    /// Starts it, with a session on it.
    pub(crate) async fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let overrides = Overrides {
            profile: None,
            endpoint: Some(format!("http://{}", listener.local_addr().unwrap())),
            region: Some("eu-central-1".to_owned()),
            key: Some(AccessKey { id: "id".to_owned(), secret: "secret".to_owned() }),
        };
        let session = Session::connect(overrides).await.unwrap();
        let (heads, answers) = (Arc::default(), Arc::new(Mutex::new(answers.into_iter().collect())));
        let server = Self { session, heads: Arc::clone(&heads), answers: Arc::clone(&answers) };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, Arc::clone(&heads), Arc::clone(&answers)));
            }
        });
        server
    }

    /// The heads of the requests so far, in lower case.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }

    /// How many answers nobody has asked for.
    pub(crate) fn unused(&self) -> usize {
        self.answers.lock().unwrap().len()
    }
}

async fn serve(mut stream: TcpStream, heads: Arc<Mutex<Vec<String>>>, answers: Arc<Mutex<Vec<Answer>>>) {
    let Some(head) = read(&mut stream).await else { return };
    let answer = {
        let mut answers = answers.lock().unwrap();
        let place = answers.iter().position(|answer| head.contains(answer.to));
        place.map(|place| answers.remove(place))
    };
    heads.lock().unwrap().push(head);
    let answer = answer.unwrap_or_else(|| Answer::new("", 501, "nothing is written down for this"));
    stream.write_all(&answer.bytes()).await.ok();
    stream.shutdown().await.ok();
}

/// Reads a request to its end; its head.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if request.len() >= end + 4 + length {
                return Some(head);
            }
        }
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
}

//! A link between two nodes that can be cut.

use super::free_addresses;
use laminarmq_broker::HostPort;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Hands on what comes to its address, until it is cut.
pub(super) struct Link {
    pub(super) address: HostPort,
    is_cut: watch::Sender<bool>,
}

impl Link {
    pub(super) async fn to(target: HostPort) -> Self {
        let address = free_addresses(1).remove(0);
        let listener = TcpListener::bind(address.to_string()).await.unwrap();
        let (is_cut, cut) = watch::channel(false);
        tokio::spawn(hand_on(listener, target, cut));
        Self { address, is_cut }
    }

    pub(super) fn cut(&self) {
        self.is_cut.send_replace(true);
    }
}

/// Whoever comes while it is cut is sent away, and who was there before as well.
async fn hand_on(listener: TcpListener, target: HostPort, cut: watch::Receiver<bool>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (target, mut cut) = (target.to_string(), cut.clone());
        tokio::spawn(async move {
            let handing_on = async {
                let mut far = TcpStream::connect(target).await?;
                tokio::io::copy_bidirectional(&mut near, &mut far).await
            };
            tokio::select! {
                biased;
                _ = cut.wait_for(|cut| *cut) => {}
                _ = handing_on => {}
            }
        });
    }
}

//! A certificate for one test, and a client that trusts nothing else.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tempfile::TempDir;

/// Whom the certificates are for.
const NAME: &str = "localhost";

/// A client's end of a TLS connection. Reading from it fails with `UnexpectedEof` where the server
/// ended the connection without saying so.
pub type Client = StreamOwned<ClientConnection, TcpStream>;

/// A self-signed certificate and its key, in two files.
#[derive(Debug)]
pub struct Identity {
    folder: TempDir,
    certificate: CertificateDer<'static>,
}

impl Identity {
    /// A new one.
    pub fn new() -> Result<Identity> {
        let folder = tempfile::tempdir()?;
        let certificate = CertificateDer::from(Vec::new());
        let mut identity = Identity {
            folder,
            certificate,
        };
        identity.renew()?;
        Ok(identity)
    }

    /// Another certificate and key in the same files; clients trust only that one from now on.
    pub fn renew(&mut self) -> Result<()> {
        let fresh = rcgen::generate_simple_self_signed(vec![NAME.to_owned()])?;
        fs::write(self.certificates(), fresh.cert.pem())?;
        fs::write(self.key(), fresh.signing_key.serialize_pem())?;
        self.certificate = fresh.cert.der().clone();
        Ok(())
    }

    /// The file with the certificate.
    pub fn certificates(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The file with the key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// Connects and comes to speak TLS; `patience` bounds each wait for bytes.
    ///
    /// # Errors
    /// The server's certificate is not this one; what the connection fails with.
    pub fn connect(&self, to: SocketAddr, patience: Duration) -> Result<Client> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let name = ServerName::try_from(NAME)?;
        let mut session = ClientConnection::new(Arc::new(config), name)?;
        let mut tcp = TcpStream::connect(to)?;
        tcp.set_read_timeout(Some(patience))?;
        while session.is_handshaking() {
            session
                .complete_io(&mut tcp)
                .context("the handshake failed")?;
        }
        Ok(StreamOwned::new(session, tcp))
    }
}

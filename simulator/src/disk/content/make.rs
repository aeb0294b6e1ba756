//! Makes content: the same bytes for the same causes.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use archive::element::Service;

use super::{Piece, first_extension, settings};
use crate::causes::Content;
use crate::disk::state::Configuration;

/// Bytes of a filler file; the last may be smaller.
const FILLER_FILE: u64 = 16_000_000;

/// Fills a folder that is empty.
pub(super) fn make(folder: &Path, piece: &Piece, content: &Content, configuration: &Configuration) -> io::Result<()> {
    match piece {
        Piece::Service { service: Service::IpOffice, server, is_primary } => {
            telephony(folder, content, *server)?;
            if *is_primary {
                settings::write(folder, configuration)?;
                filler(folder, content)?;
            }
            Ok(())
        }
        Piece::Service { service, server, .. } => {
            let (name, text) = service_file(*service, *server, content);
            write(&folder.join(name), text.as_bytes())
        }
        Piece::Voicemail => voicemail(folder, content),
        Piece::Prompts => (1..=content.prompts).try_for_each(|number| {
            let name = format!("prompt-{number:03}.wav");
            sound(&folder.join(&name), &name, kilobytes(content.prompt_kilobytes))
        }),
        Piece::Mailboxes => mailboxes(folder, content),
    }
}

fn telephony(folder: &Path, content: &Content, server: u32) -> io::Result<()> {
    let first = first_extension(content, server);
    let numbers = first..first + content.extensions;
    let mut users = "name,fullName,extension,voicemail,coverageGroup,forwardOnBusy\n".to_owned();
    let mut extensions = "number,type,port,codec,location\n".to_owned();
    for number in numbers {
        let mail = if number - first < content.mailboxes { "on" } else { "off" };
        let _ = writeln!(users, "user{number},User {number},{number},{mail},Main,{}", first);
        let _ = writeln!(extensions, "{number},IP,{},G.711 A-Law,Floor {}", 8000 + number, number % 4);
    }
    let mut lines = "number,type,channels,peer,incomingGroup,outgoingGroup\n".to_owned();
    for number in 1..=content.extensions.div_ceil(8).max(1) {
        let _ = writeln!(lines, "{number},SIP,10,sip{number}.provider.example,0,{number}");
    }
    write(&folder.join("users.csv"), users.as_bytes())?;
    write(&folder.join("extensions.csv"), extensions.as_bytes())?;
    write(&folder.join("lines.csv"), lines.as_bytes())
}

fn filler(folder: &Path, content: &Content) -> io::Result<()> {
    let mut left = u64::from(content.filler_megabytes) * 1_000_000;
    if left == 0 {
        return Ok(());
    }
    let large = folder.join("large");
    std::fs::create_dir(&large)?;
    let mut number = 0;
    while left > 0 {
        number += 1;
        let (name, size) = (format!("{number:05}.bin"), left.min(FILLER_FILE));
        noise(&large.join(&name), &name, &[], size)?;
        left -= size;
    }
    Ok(())
}

/// File that the configuration of a service consists of.
pub(crate) fn service_file_name(service: Service) -> &'static str {
    match service {
        Service::IpOffice => "users.csv",
        Service::ServerSettings => "server.conf",
        Service::OneXPortal => "portal.conf",
        Service::MediaManager => "media-manager.conf",
        Service::WebRtcGateway => "webrtc-gateway.conf",
        Service::WebCollaboration => "web-collaboration.conf",
        Service::WebLicenseManager => "weblm.conf",
    }
}

fn service_file(service: Service, server: u32, content: &Content) -> (&'static str, String) {
    let text = match service {
        Service::IpOffice => String::new(),
        Service::ServerSettings => format!(
            "[Network]\nAddress = 192.0.2.{}\nMask = 255.255.255.0\nGateway = 192.0.2.1\n\n[Time]\nServer = 0.pool.ntp.org\n",
            10 + server % 200
        ),
        Service::OneXPortal => format!("[Portal]\nUsers = {}\nPresence = on\nDirectory = ldap.example.org\n", content.extensions),
        // Configuration only: recordings are never backed up (BACKUP-3).
        Service::MediaManager => "[MediaManager]\nRecordings = /archive\nRetentionDays = 90\nConnector = local\n".to_owned(),
        Service::WebRtcGateway => "[Gateway]\nMediaPorts = 58002-60002\nTurn = off\n".to_owned(),
        Service::WebCollaboration => "[Collaboration]\nMeetings = 20\nDocuments = on\n".to_owned(),
        Service::WebLicenseManager => format!("[Licences]\nHost = 00:00:5E:00:53:{server:02X}\nPowerUsers = {}\n", content.extensions),
    };
    (service_file_name(service), text)
}

/// File that the configuration of the voicemail service consists of.
pub(crate) const VOICEMAIL_FILE: &str = "voicemail.conf";

fn voicemail(folder: &Path, content: &Content) -> io::Result<()> {
    let mut text = "[Voicemail]\nMostMinutes = 120\nGreeting = prompt-001.wav\n\n[Mailboxes]\n".to_owned();
    for number in mailbox_numbers(content) {
        let _ = writeln!(text, "{number} = on");
    }
    write(&folder.join(VOICEMAIL_FILE), text.as_bytes())
}

fn mailboxes(folder: &Path, content: &Content) -> io::Result<()> {
    for number in mailbox_numbers(content) {
        let mailbox = folder.join(number.to_string());
        std::fs::create_dir(&mailbox)?;
        for message in 1..=content.messages_per_mailbox {
            let name = format!("message-{message:04}.wav");
            sound(&mailbox.join(&name), &format!("{number}/{name}"), kilobytes(content.message_kilobytes))?;
        }
    }
    Ok(())
}

fn mailbox_numbers(content: &Content) -> std::ops::Range<u32> {
    let first = first_extension(content, 0);
    first..first + content.mailboxes.min(content.extensions)
}

fn kilobytes(number: u32) -> u64 {
    u64::from(number) * 1000
}

/// A sound file: 8000 samples of 8 bits a second, as telephones have them.
fn sound(path: &Path, name: &str, size: u64) -> io::Result<()> {
    let data = u32::try_from(size.saturating_sub(44)).unwrap_or(u32::MAX - 36);
    let mut head = Vec::with_capacity(44);
    head.extend_from_slice(b"RIFF");
    head.extend_from_slice(&(data + 36).to_le_bytes());
    head.extend_from_slice(b"WAVEfmt ");
    head.extend_from_slice(&16u32.to_le_bytes());
    // PCM, one channel; samples and bytes a second; bytes and bits of a sample.
    head.extend_from_slice(&[1, 0, 1, 0]);
    head.extend_from_slice(&8000u32.to_le_bytes());
    head.extend_from_slice(&8000u32.to_le_bytes());
    head.extend_from_slice(&[1, 0, 8, 0]);
    head.extend_from_slice(b"data");
    head.extend_from_slice(&data.to_le_bytes());
    noise(path, name, &head, size)
}

/// Bytes that cannot be compressed and that follow from the name alone (xorshift64*).
fn noise(path: &Path, name: &str, head: &[u8], size: u64) -> io::Result<()> {
    let mut state = name.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)) | 1;
    let file = File::create(path)?;
    let mut out = BufWriter::with_capacity(64 * 1024, &file);
    out.write_all(head)?;
    let mut left = size.saturating_sub(head.len() as u64);
    while left > 0 {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bytes = state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
        let now = usize::try_from(left.min(8)).unwrap_or(8);
        out.write_all(&bytes[..now])?;
        left -= now as u64;
    }
    out.flush()?;
    drop(out);
    file.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

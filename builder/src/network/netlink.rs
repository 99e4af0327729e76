//! The two requests to the kernel that a namespace's loopback needs, byte for byte.

use std::io;
use std::net::IpAddr;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// The loopback is the first device of every namespace.
const LOOPBACK: u32 = 1;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const NLMSG_ERROR: u16 = 2;
/// Request, acknowledge.
const REQUEST_ACK: u16 = 0x1 | 0x4;
/// Create what must not be there.
const CREATE: u16 = 0x400 | 0x200;
const IFF_UP: u32 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
/// No duplicate is looked for: the address is used at once.
const IFA_F_NODAD: u8 = 0x02;
/// Length of a message's head, in bytes.
const HEAD_BYTES: usize = 16;
/// Longest answer, in bytes: an error with the request.
const ANSWER_BYTES: usize = 512;

/// Brings the loopback of the calling thread's namespace up.
pub(super) fn loopback_up() -> io::Result<()> {
    let mut body = vec![0; 4];
    for word in [LOOPBACK, IFF_UP, IFF_UP] {
        body.extend(word.to_ne_bytes());
    }
    request(RTM_NEWLINK, REQUEST_ACK, &body)
}

/// Gives the loopback of the calling thread's namespace another address.
pub(super) fn add_address(address: IpAddr) -> io::Result<()> {
    request(RTM_NEWADDR, REQUEST_ACK | CREATE, &address_body(address))
}

fn address_body(address: IpAddr) -> Vec<u8> {
    let (family, bits, bytes) = match address {
        IpAddr::V4(address) => (AF_INET, 32, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, 128, address.octets().to_vec()),
    };
    let mut body = vec![family, bits, IFA_F_NODAD, 0];
    body.extend(LOOPBACK.to_ne_bytes());
    for kind in [IFA_LOCAL, IFA_ADDRESS] {
        // Both lengths of an address are whole words, so nothing is padded.
        let length = (bytes.len() + 4) as u16;
        body.extend(length.to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(&bytes);
    }
    body
}

fn request(kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        None,
    )?;
    let mut message = ((HEAD_BYTES + body.len()) as u32).to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(body);
    let kernel = SocketAddrNetlink::new(0, 0);
    rustix::net::sendto(&socket, &message, SendFlags::empty(), &kernel)?;
    let mut answer = [0; ANSWER_BYTES];
    let (_, length) = rustix::net::recv(&socket, &mut answer[..], RecvFlags::empty())?;
    judge(&answer[..length.min(ANSWER_BYTES)])
}

/// An acknowledgement is an error with the number 0.
fn judge(answer: &[u8]) -> io::Result<()> {
    let odd = || io::Error::other("the kernel answers what is no netlink message");
    let kind = answer.get(4..6).ok_or_else(odd)?;
    let number = answer.get(HEAD_BYTES..HEAD_BYTES + 4).ok_or_else(odd)?;
    if kind != NLMSG_ERROR.to_ne_bytes() {
        return Err(odd());
    }
    match i32::from_ne_bytes(number.try_into().map_err(|_| odd())?) {
        0 => Ok(()),
        number => Err(io::Error::from_raw_os_error(-number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_an_acknowledgement_or_an_error() {
        let answer = |number: i32| {
            let mut answer = vec![0; HEAD_BYTES];
            answer[4..6].copy_from_slice(&NLMSG_ERROR.to_ne_bytes());
            answer.extend(number.to_ne_bytes());
            answer
        };
        assert!(judge(&answer(0)).is_ok());
        assert_eq!(judge(&answer(-1)).unwrap_err().raw_os_error(), Some(1));
        assert!(judge(&answer(0)[..10]).is_err());
    }

    #[test]
    fn an_address_is_written_twice() {
        let body = address_body("10.0.0.1".parse().unwrap());
        assert_eq!(body.len(), 8 + 2 * 8);
        assert_eq!(&body[12..16], [10, 0, 0, 1]);
        assert_eq!(address_body("::1".parse().unwrap()).len(), 8 + 2 * 20);
    }
}

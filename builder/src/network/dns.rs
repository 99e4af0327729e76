//! Answers to questions about names: those that are on the list, and no others.
//!
//! The question comes from a stranger's command, so nothing is taken from it but what fits the
//! one form that resolvers send.

use std::net::Ipv4Addr;

/// Length of a message's head, in bytes.
const HEAD_BYTES: usize = 12;
/// Longest question that is read, in bytes: the head, a name, its kind and its class.
const MAX_QUESTION_BYTES: usize = HEAD_BYTES + 255 + 4;
/// How long an answer holds, in seconds.
const LIFETIME: u32 = 60;
const KIND_A: u16 = 1;
const CLASS_INTERNET: u16 = 1;
/// A pointer to the name in the question.
const NAME_OF_QUESTION: u16 = 0xc00c;
/// The name is not known.
const NO_SUCH_NAME: u8 = 3;

/// The answer to a question; `None` to what is none. `look_up` knows the names, in lower case.
pub(super) fn answer(
    question: &[u8],
    look_up: impl Fn(&str) -> Option<Ipv4Addr>,
) -> Option<Vec<u8>> {
    let question = &question[..question.len().min(MAX_QUESTION_BYTES)];
    let head = question.get(..HEAD_BYTES)?;
    let is_question = head[2] & 0xf8 == 0 && head[4..6] == [0, 1];
    let (name, end) = name(question)?;
    let asked = question.get(HEAD_BYTES..end + 4)?;
    let kind = u16::from_be_bytes([question[end], question[end + 1]]);
    let class = u16::from_be_bytes([question[end + 2], question[end + 3]]);
    if !is_question || class != CLASS_INTERNET {
        return None;
    }
    let found = look_up(&name);
    // A name that is known and has nothing of that kind is no unknown name.
    let address = found.filter(|_| kind == KIND_A);
    let code = if found.is_some() { 0 } else { NO_SUCH_NAME };
    let mut answer = head[..2].to_vec();
    // An answer, with recursion where it was wanted and there.
    answer.extend([0x80 | (head[2] & 0x01), 0x80 | code]);
    answer.extend([0, 1, 0, u8::from(address.is_some()), 0, 0, 0, 0]);
    answer.extend(asked);
    if let Some(address) = address {
        for word in [NAME_OF_QUESTION, KIND_A, CLASS_INTERNET] {
            answer.extend(word.to_be_bytes());
        }
        answer.extend(LIFETIME.to_be_bytes());
        answer.extend([0, 4]);
        answer.extend(address.octets());
    }
    Some(answer)
}

/// The name in the question, in lower case and without the last dot, and where it ends.
fn name(question: &[u8]) -> Option<(String, usize)> {
    let mut parts: Vec<String> = Vec::new();
    let mut at = HEAD_BYTES;
    loop {
        let length = usize::from(*question.get(at)?);
        at += 1;
        match length {
            0 => return Some((parts.join("."), at)),
            // Pointers have no place in a question.
            1..=63 => {
                let part = std::str::from_utf8(question.get(at..at + length)?).ok()?;
                parts.push(part.to_ascii_lowercase());
                at += length;
            }
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(name: &str, kind: u16) -> Vec<u8> {
        let mut question = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for part in name.split('.') {
            question.push(part.len() as u8);
            question.extend(part.as_bytes());
        }
        question.push(0);
        question.extend(kind.to_be_bytes());
        question.extend([0, 1]);
        question
    }

    fn known(name: &str) -> Option<Ipv4Addr> {
        (name == "mirror.example").then_some(Ipv4Addr::new(127, 77, 0, 1))
    }

    #[test]
    fn a_name_on_the_list_is_answered_and_no_other() {
        let told = answer(&question("Mirror.Example", KIND_A), known).unwrap();
        assert_eq!(told[..4], [0xab, 0xcd, 0x81, 0x80]);
        assert_eq!(told[6..8], [0, 1]);
        assert_eq!(told[told.len() - 4..], [127, 77, 0, 1]);
        let of_six = answer(&question("mirror.example", 28), known).unwrap();
        assert_eq!((of_six[3] & 0x0f, of_six[7]), (0, 0), "known, and no such address");
        for other in ["example", "x.mirror.example", "metadata.internal"] {
            let told = answer(&question(other, KIND_A), known).unwrap();
            assert_eq!((told[3] & 0x0f, told[7]), (NO_SUCH_NAME, 0), "{other}");
        }
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let good = question("mirror.example", KIND_A);
        for cut in 0..good.len() {
            assert_eq!(answer(&good[..cut], known), None, "{cut}");
        }
        let mut pointer = good.clone();
        pointer[HEAD_BYTES] = 0xc0;
        assert_eq!(answer(&pointer, known), None);
        let mut reply = good;
        reply[2] |= 0x80;
        assert_eq!(answer(&reply, known), None);
    }
}

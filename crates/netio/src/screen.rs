//! The terminal while a program draws on it: a screen of its own, no echo of what is typed; and in
//! every ending, a panic too, given back as it was.

use std::io;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Mutex, Once, PoisonError};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

/// The screen of its own that xterm and its descendants have.
const ENTER: &[u8] = b"\x1b[?1049h";
/// Back to what was there before, with the cursor that drawing hides.
const LEAVE: &[u8] = b"\x1b[?1049l\x1b[?25h";
/// The value that switches a special character off (POSIX's `_POSIX_VDISABLE` on Linux).
const NO_CHARACTER: u8 = 0;

/// What a process has taken. A panic hook can reach only what is static.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);
/// The hook stays for as long as the process does.
static HOOK: Once = Once::new();

#[derive(Debug)]
struct Taken {
    /// The settings of the terminal that is typed on, where standard input is one.
    before: Option<Termios>,
}

/// The terminal of standard input and output, taken. Dropping it gives the terminal back; so does
/// a panic, before its message is printed and also where a panic ends the process at once.
#[derive(Debug)]
#[must_use = "dropped, it gives the terminal back"]
pub struct Screen(());

impl Screen {
    /// Takes the terminal. Ctrl-C goes on being a signal; Ctrl-Z does nothing, for it would leave
    /// the shell on a screen that is not its own.
    ///
    /// # Errors
    /// The terminal's settings cannot be changed, or it cannot be written to.
    pub fn take() -> io::Result<Screen> {
        Screen::take_but(LocalModes::ECHO | LocalModes::ICANON)
    }

    /// The same, but Ctrl-C too is a key that is typed, the byte 3: for a program that ends in good
    /// order however often it is pressed.
    ///
    /// # Errors
    /// As [`Screen::take`].
    pub fn take_with_ctrl_c() -> io::Result<Screen> {
        Screen::take_but(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG)
    }

    fn take_but(left_out: LocalModes) -> io::Result<Screen> {
        HOOK.call_once(|| {
            let told = panic::take_hook();
            panic::set_hook(Box::new(move |panic| {
                give_back();
                told(panic);
            }));
        });
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut quiet = before.clone();
            quiet.local_modes.remove(left_out);
            quiet.special_codes[SpecialCodeIndex::VSUSP] = NO_CHARACTER;
            tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        }
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Taken { before });
        let screen = Screen(());
        write(ENTER)?;
        Ok(screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

fn give_back() {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Taken { before }) = taken.take() else {
        return;
    };
    // Of a terminal that is gone, nothing can be given back.
    let _ = write(LEAVE);
    if let Some(before) = before {
        // What was typed meanwhile was meant for nobody.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
    }
}

/// Past the buffer and the lock of standard output: a panic may have come while both were in use.
fn write(mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(io::stdout().as_fd(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

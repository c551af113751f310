//! This very program, packed so that it runs in a container that holds nothing else.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use fresco_core::{Error, ErrorKind, Result};
use tar::{Builder, Header};

/// Where the program is in the container.
const PROGRAM: &str = "/program";
/// Where its libraries are.
const LIBRARIES: &str = "/lib";

/// The running program, packed so that it runs in a container that holds nothing else.
#[derive(Debug)]
#[non_exhaustive]
pub struct PackedProgram {
    /// An image's only layer: a tar archive, as `docker import` takes it.
    pub archive: Vec<u8>,
    /// What starts the program in it; its own arguments follow.
    pub command: Vec<String>,
}

impl PackedProgram {
    /// Packs the running program with the libraries that it has loaded. This reads them all: it
    /// blocks.
    ///
    /// # Errors
    /// `Internal` when one of them can't be read.
    pub fn pack() -> Result<Self> {
        packed().map_err(|error| {
            Error::new(ErrorKind::Internal, "could not pack this program for a probe's container")
                .with_source(error)
        })
    }
}

fn packed() -> io::Result<PackedProgram> {
    let mut archive = Builder::new(Vec::new());
    // By this name the kernel gives the program that runs, were it replaced on disk meanwhile.
    add(&mut archive, PROGRAM, &fs::read("/proc/self/exe")?)?;
    let program = fs::read_link("/proc/self/exe")?;
    let mut loader = None;
    for file in loaded(&fs::read_to_string("/proc/self/maps")?) {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if file == without_mark(&program) {
            continue;
        }
        let place = format!("{LIBRARIES}/{name}");
        add(&mut archive, &place, &fs::read(&file)?)?;
        if name.starts_with("ld-") || name.starts_with("ld.so") {
            loader = Some(place);
        }
    }
    // A static program has no loader. Called by name, a loader looks nowhere but where it is told.
    let command = match loader {
        Some(loader) => vec![loader, "--library-path".into(), LIBRARIES.into(), PROGRAM.into()],
        None => vec![PROGRAM.into()],
    };
    Ok(PackedProgram { archive: archive.into_inner()?, command })
}

fn add(archive: &mut Builder<Vec<u8>>, place: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o755);
    archive.append_data(&mut header, place.trim_start_matches('/'), bytes)
}

/// The files of which code is in memory.
fn loaded(maps: &str) -> BTreeSet<PathBuf> {
    let lines = maps.lines().filter_map(|line| {
        let (places, path) = line.split_once('/')?;
        let rights = places.split_whitespace().nth(1)?;
        rights.contains('x').then(|| without_mark(Path::new(&format!("/{path}"))))
    });
    lines.collect()
}

/// A file that was replaced meanwhile: the new one does as well.
fn without_mark(path: &Path) -> PathBuf {
    let text = path.to_string_lossy();
    text.strip_suffix(" (deleted)").unwrap_or(&text).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_told_from_data() {
        let maps = "55-56 r--p 0 fe:00 1    /usr/bin/app
56-57 r-xp 0 fe:00 1    /usr/bin/app
7f-80 r--p 0 fe:00 2    /usr/lib/locale/C.utf8
7f-80 r-xp 0 fe:00 3    /lib/libc.so.6 (deleted)
7f-80 r-xp 0 00:00 0    [vdso]
";
        let found: Vec<_> = loaded(maps).into_iter().collect();
        assert_eq!(found, [Path::new("/lib/libc.so.6"), Path::new("/usr/bin/app")]);
    }
}

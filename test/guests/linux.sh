#!/bin/sh
# Gets the kernels of Debian that linux.test.ts boots, and a busybox for each of their architectures, into build/guests. Packages
# are downloaded by apt and unpacked, not installed: their scripts would take minutes. What is there already stays; remove
# the folder to have the newest. Needs Debian's apt and dpkg, and no rights.
set -eu
cd "$(dirname "$0")/../.."
guests="$PWD/build/guests"
for tool in apt-get apt-cache dpkg-deb; do
	command -v "$tool" >/dev/null || { echo "$0: needs Debian's apt and dpkg: there is no $tool" >&2; exit 1; }
done
mkdir -p "$guests"
work=$(mktemp -d "$guests/.download-XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

# apt's lists of one architecture, apart from the host's: neither its architectures nor its state change.
lists() { # ARCHITECTURE
	conf="$work/$1/apt.conf"
	[ ! -e "$conf" ] || return 0
	mkdir -p "$work/$1/lists/partial" "$work/$1/cache/archives/partial"
	: >"$work/$1/status"
	cat >"$conf" <<-END
		#clear APT::Architectures;
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		APT::Architecture "$1";
		APT::Architectures { "$1"; };
		APT::Sandbox::User "root";
		Acquire::Languages "none";
		Acquire::Retries "3";
		Dir::State::lists "$work/$1/lists";
		Dir::State::status "$work/$1/status";
		Dir::Cache "$work/$1/cache";
	END
	# A mirror that lacks one list may still have the packages.
	apt-get -c "$conf" -qq update || echo "$0: not all lists of packages for $1 were found" >&2
}

# The package that a metapackage stands for; its own name for any other.
real() { # PACKAGE
	apt-cache -c "$conf" depends --important "$1" | sed -n 's/^ *Depends: \(linux-image-[0-9][^ ]*\)$/\1/p' | grep . || echo "$1"
}

missing=0
guest() { # FILE ARCHITECTURE PACKAGE PATTERN
	[ ! -s "$guests/$1" ] || return 0
	lists "$2"
	package=$(real "$3")
	echo "$1: $package ($2)"
	if (cd "$work/$2" && apt-get -c "$conf" -qq download "$package") &&
		dpkg-deb --fsys-tarfile "$work/$2/${package}"_*.deb | tar -xO --wildcards "$4" >"$work/$1" && [ -s "$work/$1" ]; then
		mv "$work/$1" "$guests/$1"
	else
		echo "$0: cannot get $1 from the package $package" >&2
		missing=1
	fi
	rm -f "$work/$2/"*.deb
}

guest vmlinuz-cloud-amd64 amd64 linux-image-cloud-amd64 './boot/vmlinuz-*'
guest busybox-amd64 amd64 busybox-static '*bin/busybox'
guest vmlinuz-686 i386 linux-image-686 './boot/vmlinuz-*'
guest vmlinuz-686-pae i386 linux-image-686-pae './boot/vmlinuz-*'
guest busybox-i386 i386 busybox-static '*bin/busybox'
exit $missing

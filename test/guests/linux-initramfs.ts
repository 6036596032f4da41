import { readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { initramfs } from "../support/initramfs.ts";

// Makes the RAM disks that README.md boots Linux with out of what linux.sh has brought.
for (const architecture of ["amd64", "i386"]) {
	const path = (name: string) => fileURLToPath(new URL(`../../build/guests/${name}`, import.meta.url));
	writeFileSync(path(`initramfs-${architecture}.gz`), initramfs(readFileSync(path(`busybox-${architecture}`))));
}

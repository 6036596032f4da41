import { PciConfigSpace, type PciConfigState } from "../../bus/pci.ts";
import { SUBSYSTEM } from "./subsystem.ts";

/**
 * What a range below 1 MiB shows (82441FX 3.2.17): DRAM where enabled, otherwise the PCI bus and the ROM on it.
 * Segment 0 is F0000..FFFFF; 1..12 are the 16 KiB pieces from C0000 up to EFFFF.
 */
export interface PamControl {
	set(segment: number, read: boolean, write: boolean): void;
}

/** Whether A0000..BFFFF shows DRAM to ordinary accesses (82441FX 3.2.20). */
export interface SmramControl {
	set(open: boolean): void;
}

const PAM_SEGMENTS = 13;

const PAM0 = 0x59;
const PAM_READ = 1 << 0;
const PAM_WRITE = 1 << 1;

const SMRAM = 0x72;
const SMRAM_ENABLE = 1 << 3;
const SMRAM_LOCK = 1 << 4;
const SMRAM_OPEN = 1 << 6;
const SMRAM_WRITABLE = 0x78;
const SMRAM_RESET = 0x02;

/**
 * The 82441FX host bridge, 8086:1237. The memory controller's registers are kept as written; PAM and SMRAM act.
 * A reset closes every segment, so that the processor starts in the ROM.
 */
export class I440fx extends PciConfigSpace {
	readonly name = "i440fx";
	private readonly pam: PamControl;
	private readonly smram: SmramControl;
	/** Two bits a segment, as last reported. */
	private readonly segments = new Uint8Array(PAM_SEGMENTS);
	private open = false;

	constructor(pam: PamControl, smram: SmramControl) {
		super({ vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x06_00_00, subsystem: SUBSYSTEM });
		for (let offset = 0x40; offset < 0x100; offset++) this.register(offset, 1, 0, 0xff);
		this.register(0x57, 1, 0x10, 0xff);
		this.register(SMRAM, 1, SMRAM_RESET, SMRAM_WRITABLE);
		this.pam = pam;
		this.smram = smram;
	}

	save(): PciConfigState {
		return this.saveConfig();
	}

	protected override written(first: number, last: number): void {
		if (first <= PAM0 + 6 && last >= PAM0) this.reportPam();
		if (first <= SMRAM && last >= SMRAM) this.reportSmram();
	}

	/** PAM0's high half is the F segment, its low half is reserved; PAM1..6 hold two segments each, low half first. */
	private reportPam(): void {
		for (let segment = 0; segment < PAM_SEGMENTS; segment++) {
			const half = segment === 0 ? 1 : segment + 1;
			const bits = (this.config[PAM0 + (half >> 1)]! >> (4 * (half & 1))) & (PAM_READ | PAM_WRITE);
			if (bits === this.segments[segment]) continue;
			this.segments[segment] = bits;
			this.pam.set(segment, (bits & PAM_READ) !== 0, (bits & PAM_WRITE) !== 0);
		}
	}

	/** Locking closes the window for good: until reset D_OPEN stays clear and the register is read-only. */
	private reportSmram(): void {
		const locked = (this.config[SMRAM]! & SMRAM_LOCK) !== 0;
		if (locked) this.config[SMRAM]! &= ~SMRAM_OPEN;
		this.setWritable(SMRAM, locked ? 0 : SMRAM_WRITABLE);
		const open = (this.config[SMRAM]! & (SMRAM_ENABLE | SMRAM_OPEN)) === (SMRAM_ENABLE | SMRAM_OPEN);
		if (open === this.open) return;
		this.open = open;
		this.smram.set(open);
	}
}

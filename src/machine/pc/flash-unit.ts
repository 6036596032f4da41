import { UserError } from "../../base/errors.ts";
import type { Clock } from "../../bus/device.ts";
import type { FlashChips } from "../../config/index.ts";
import { sizeText } from "../../config/kinds.ts";
import type { Pflash, RomdControl } from "../../devices/pflash.ts";
import { FlashArray } from "../../devices/pflash-array.ts";
import { createPflash } from "../../devices/pflash-create.ts";
import type { FlashObserver } from "../../devices/pflash-events.ts";
import { FlashGeometry } from "../../devices/pflash-geometry.ts";
import type { FlashFile } from "../../host/flash-file.ts";
import type { HostBuffer } from "../../kvm/backing.ts";
import type { Vm } from "../../kvm/vm.ts";
import type { FlashActivity } from "../outcome.ts";

/** Images are whole pages, so that slots can show them. */
export const FLASH_SECTOR = 4096;

/** What a query table can say: bytes of a chip's block, blocks of one size. */
const LEAST_BLOCK = 256;
const MOST_BLOCKS = 0x1_0000;
const WIDTHS = { 8: 1, 16: 2, 32: 4 } as const;

/**
 * How a flash of `size` bytes is divided into blocks.
 * @throws UserError naming `name` unless the blocks that were asked for are as large together.
 */
export function flashGeometry(
	name: string,
	size: number,
	{ blocks, bankWidth, deviceWidth }: FlashChips,
): FlashGeometry {
	const fixed = blocks.reduce((sum, { count = 0, size: each }) => sum + count * each, 0);
	const runs = blocks.map(({ count, size: each }) => ({ count: count ?? (size - fixed) / each, size: each }));
	const total = runs.reduce((sum, run) => sum + run.count * run.size, 0);
	const text = blocks.map(({ count, size: each }) => `${count === undefined ? "" : `${count}x`}${sizeText(each)}`);
	const wrong = (why: string): UserError => new UserError(`${name}: blocks=${text.join("+")} ${why}`);
	if (total !== size || runs.some(({ count }) => count < 1 || !Number.isInteger(count))) {
		throw wrong(`does not divide its ${size} bytes`);
	}
	const chips = bankWidth / (deviceWidth ?? bankWidth);
	if (runs.some(({ size: each }) => each / chips < LEAST_BLOCK)) {
		throw wrong(`gives each of ${chips} chips less than ${LEAST_BLOCK} bytes of a block`);
	}
	if (runs.some(({ count }) => count > MOST_BLOCKS)) throw wrong(`makes more than ${MOST_BLOCKS} blocks of one size`);
	let offset = 0;
	for (const run of runs) {
		if (offset % run.size !== 0) throw wrong(`puts blocks of ${sizeText(run.size)} where none can begin`);
		offset += run.count * run.size;
	}
	return new FlashGeometry(runs);
}

export interface FlashUnitParts {
	readonly vm: Vm;
	readonly file: FlashFile;
	readonly buffer: HostBuffer;
	readonly readonly: boolean;
	readonly chips: FlashChips;
	readonly geometry: FlashGeometry;
	readonly clock: Clock;
	readonly observer: FlashObserver | undefined;
}

/** A flash chip of the board: its registers, its cells in guest memory, its file on the host. */
export class FlashUnit {
	readonly device: Pflash;
	readonly buffer: HostBuffer;
	private readonly file: FlashFile;

	/** Fills `buffer` from `file`; what the guest changes goes back there. `romd` takes the unit's slot away and gives it back. */
	constructor(unit: number, parts: FlashUnitParts, romd: RomdControl) {
		const { vm, file, buffer, chips, geometry, readonly, clock, observer } = parts;
		this.buffer = buffer;
		this.file = file;
		const store = {
			write: (offset: number, length: number): void => {
				vm.written(buffer.offset + offset, length);
				file.write(offset, length);
			},
			flush: (): void => file.flush(),
		};
		const array = new FlashArray(buffer.view, geometry, store, readonly);
		const { bankWidth, deviceWidth = undefined } = chips;
		this.device = createPflash({
			...{ name: `system.flash${unit}`, array, romd, clock, observer },
			...{ commandSet: chips.commandSet, strict: chips.strict, timing: chips.timing, locked: chips.locked },
			bankWidth: WIDTHS[bankWidth],
			deviceWidth: deviceWidth && WIDTHS[deviceWidth],
		});
	}

	/** What the guest has done with it. */
	get activity(): FlashActivity {
		const { romdSwitches, erasedBlocks, programmedBytes } = this.device.statistics;
		return { romdSwitches, erasedBlocks, programmedBytes };
	}

	/** What has changed reaches the disk. */
	sync(): void {
		this.file.sync();
	}

	/** Everything reaches the disk. May be called repeatedly. */
	close(): void {
		this.file.close();
	}
}

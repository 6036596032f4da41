import { UserError } from "../base/errors.ts";
import type { ImageFile } from "./image-file.ts";
import type { EntryChoice, Kernel, Payload } from "./kernel.ts";
import { upperKib, zeroEnded } from "./kernel.ts";
import type { LoadMap } from "./load-map.ts";
import type { StartState } from "./start-state.ts";

/** Offsets in the setup header, which has the same place in the file and in boot_params (Linux Documentation/arch/x86/boot.rst). */
const HEADER = {
	first: 0x1f1,
	setupSectors: 0x1f1,
	size16: 0x1f4,
	vidMode: 0x1fa,
	bootFlag: 0x1fe,
	jumpLength: 0x201,
	magic: 0x202,
	version: 0x206,
	loader: 0x210,
	loadFlags: 0x211,
	code32: 0x214,
	ramdisk: 0x218,
	ramdiskSize: 0x21c,
	heapEnd: 0x224,
	commandLine: 0x228,
	initrdMax: 0x22c,
	alignment: 0x230,
	relocatable: 0x234,
	xloadFlags: 0x236,
	commandLineSize: 0x238,
	setupData: 0x250,
	prefAddress: 0x258,
	initSize: 0x260,
} as const;

/** Further fields of boot_params (zero-page.rst). */
const PARAMS = {
	size: 4096,
	extendedKib: 0x02,
	videoMode: 0x06,
	columns: 0x07,
	lines: 0x0e,
	isVga: 0x0f,
	points: 0x10,
	rsdp: 0x70,
	alternativeKib: 0x1e0,
	mapCount: 0x1e8,
	headerEnd: 0x290,
	map: 0x2d0,
	mapMost: 128,
} as const;

const BOOT_FLAG = 0xaa55;
/** "HdrS". */
const MAGIC = 0x5372_6448;
const LOADED_HIGH = 1 << 0;
const CAN_USE_HEAP = 1 << 7;
const KERNEL_64 = 1 << 0;
/** A loader without a number of its own. */
const UNREGISTERED_LOADER = 0xff;
const NORMAL_VIDEO = 0xffff;
const SECTOR = 512;
/** The kernel's size counts these. */
const UNIT = 16;
const ONE_MIB = 2 ** 20;
const PAGE = 4096;
const ENTRY64 = 0x200;
/** Behind the boot sector. */
const SETUP_ENTRY = 0x200;
/** What kernels older than a field had for it. */
const OLD_COMMAND_LINE = 255;
const OLD_INITRD_MAX = 0x37ff_ffff;
const VGA_TEXT_MODE = 3;

/** A bzImage's setup header, read with the defaults of its protocol version. */
export interface BzImage {
	readonly file: ImageFile;
	/** Major version in the high byte. */
	readonly version: number;
	/** Real-mode part: boot sector and setup code. */
	readonly setup: Uint8Array;
	/** What is loaded high. */
	readonly kernel: Uint8Array;
	readonly is64: boolean;
	readonly initrdMax: number;
	/** Longest command line, without the zero at its end. */
	readonly commandLineMax: number;
}

/** Whether the file has Linux's setup header. */
export function isBzImage(file: ImageFile): boolean {
	return (
		file.size >= HEADER.version && file.u16(HEADER.bootFlag, "") === BOOT_FLAG && file.u32(HEADER.magic, "") === MAGIC
	);
}

/** @throws UserError for a kernel that is damaged or older than protocol 2.02 (Linux 2.4). */
export function readBzImage(file: ImageFile): BzImage {
	const what = "its Linux setup header";
	const version = file.u16(HEADER.version, what);
	if (version < 0x0202) {
		throw file.refuse(`speaks Linux boot protocol ${version >> 8}.${version & 0xff}; at least 2.2 is needed`);
	}
	if ((file.u8(HEADER.loadFlags, what) & LOADED_HIGH) === 0) {
		throw file.refuse("is a zImage, which loads below 1 MiB; only bzImage is supported");
	}
	const setupSize = ((file.u8(HEADER.setupSectors, what) || 4) + 1) * SECTOR;
	const setup = file.slice(0, setupSize, "its Linux setup code");
	const kernelSize = version >= 0x0204 ? file.u32(HEADER.size16, what) * UNIT : file.size - setupSize;
	// The last unit need not be whole.
	const least = Math.max(kernelSize - UNIT + 1, 1);
	file.slice(setupSize, least, "Linux's kernel");
	return {
		...{ file, version, setup },
		kernel: file.bytes.subarray(setupSize, setupSize + kernelSize),
		is64: version >= 0x020c && (file.u16(HEADER.xloadFlags, what) & KERNEL_64) !== 0,
		initrdMax: version >= 0x0203 ? file.u32(HEADER.initrdMax, what) : OLD_INITRD_MAX,
		commandLineMax: version >= 0x0206 ? file.u32(HEADER.commandLineSize, what) : OLD_COMMAND_LINE,
	};
}

/** Linux's bzImage by its 64-bit entry, or the 32-bit one where it has no other or that is asked for. */
export function linuxKernel(file: ImageFile, entry: EntryChoice): Kernel | undefined {
	if (!isBzImage(file)) return undefined;
	const image = readBzImage(file);
	if (entry === "16") return { protocol: "Linux, 16-bit entry", modules: "one", load: realModeLoad(image) };
	if (entry === "64" && !image.is64) throw file.refuse("has no 64-bit entry (--kernel-entry 64)");
	const bits = entry === "32" || !image.is64 ? 32 : 64;
	return {
		protocol: `Linux, ${bits}-bit entry`,
		modules: "one",
		load(payload, map) {
			const address = placeKernel(image, map);
			const params = new BootParams();
			params.copyHeader(image);
			params.view.setUint32(HEADER.code32, address, true);
			checkCommandLine(payload, image);
			return params.finish(payload, map, { bits, entry: address + (bits === 64 ? ENTRY64 : 0) }, image.initrdMax);
		},
	};
}

/** @throws UserError for a command line that is longer than the kernel takes. */
export function checkCommandLine({ commandLine }: Pick<Payload, "commandLine">, image: BzImage): void {
	const bytes = zeroEnded(commandLine).length - 1;
	if (bytes <= image.commandLineMax) return;
	throw new UserError(`--append: ${bytes} bytes; ${image.file.name} takes at most ${image.commandLineMax}`);
}

/** Where the kernel wants to be, or the lowest place above 1 MiB that it can take. */
function placeKernel({ file, version, kernel }: BzImage, map: LoadMap): number {
	const number = (at: number): number => file.u32(at, "its Linux setup header");
	if (version < 0x020a) {
		map.put(`${file.name}: the kernel`, ONE_MIB, kernel);
		return ONE_MIB;
	}
	const size = Math.max(number(HEADER.initSize), kernel.length);
	const preferred = Number(file.u64(HEADER.prefAddress, "its Linux setup header"));
	const align = Math.max(number(HEADER.alignment), 1);
	const lowest = Math.ceil(ONE_MIB / align) * align;
	const movable = file.u8(HEADER.relocatable, "its Linux setup header") !== 0;
	const address = movable && !map.isFree(preferred, size) ? lowest : preferred;
	map.put(`${file.name}: the kernel`, address, kernel, size);
	return address;
}

/** The zero page. */
class BootParams {
	readonly bytes = new Uint8Array(PARAMS.size);
	readonly view = new DataView(this.bytes.buffer);

	copyHeader({ setup }: BzImage): void {
		const end = Math.min(HEADER.magic + setup[HEADER.jumpLength]!, PARAMS.headerEnd);
		this.bytes.set(setup.subarray(HEADER.first, end), HEADER.first);
	}

	/** A header for what is no bzImage: the fields that kernels look at. */
	makeHeader(): void {
		const { view } = this;
		view.setUint16(HEADER.bootFlag, BOOT_FLAG, true);
		view.setUint32(HEADER.magic, MAGIC, true);
		view.setUint16(HEADER.version, 0x020c, true);
		view.setUint8(HEADER.loadFlags, LOADED_HIGH);
	}

	/** Modules, command line, memory map; the zero page's address goes into RSI. */
	finish(payload: Payload, map: LoadMap, state: StartState, initrdMax: number): StartState {
		const { view } = this;
		const { platform } = payload;
		const kib = upperKib(platform);
		view.setUint8(HEADER.loader, UNREGISTERED_LOADER);
		view.setUint16(HEADER.vidMode, NORMAL_VIDEO, true);
		view.setBigUint64(HEADER.setupData, 0n, true);
		view.setUint16(PARAMS.extendedKib, Math.min(kib, 0xffff), true);
		view.setUint32(PARAMS.alternativeKib, kib, true);
		view.setBigUint64(PARAMS.rsdp, BigInt(platform.rsdp), true);
		if (platform.textScreen) this.textScreen();
		const entries = platform.map.slice(0, PARAMS.mapMost);
		view.setUint8(PARAMS.mapCount, entries.length);
		entries.forEach(({ first, size, type }, n) => {
			const at = PARAMS.map + n * 20;
			view.setBigUint64(at, BigInt(first), true);
			view.setBigUint64(at + 8, BigInt(size), true);
			view.setUint32(at + 16, type, true);
		});
		const address = map.allocate("Linux's boot parameters", this.bytes, { align: PAGE });
		view.setUint32(HEADER.commandLine, map.allocate("--append", zeroEnded(payload.commandLine)), true);
		const [initrd] = payload.modules;
		if (initrd !== undefined) {
			const wish = { align: PAGE, below: initrdMax + 1, high: true };
			view.setUint32(HEADER.ramdisk, map.allocate(initrd.name, initrd.bytes, wish), true);
			view.setUint32(HEADER.ramdiskSize, initrd.bytes.length, true);
		}
		return { ...state, registers: { rsi: address } };
	}

	private textScreen(): void {
		const { view } = this;
		view.setUint8(PARAMS.videoMode, VGA_TEXT_MODE);
		view.setUint8(PARAMS.columns, 80);
		view.setUint8(PARAMS.lines, 25);
		view.setUint8(PARAMS.isVga, 1);
		view.setUint16(PARAMS.points, 16, true);
	}
}

/** Starts what has no protocol of its own as Linux is started, with a zero page in RSI. */
export function startLikeLinux(payload: Payload, map: LoadMap, state: StartState): StartState {
	const params = new BootParams();
	params.makeHeader();
	const FOUR_GIB = 2 ** 32;
	return params.finish(payload, map, state, FOUR_GIB - 1);
}

/** Where the parts of a bzImage go that is started in real mode; QEMU has them at the same places. */
export const REAL_MODE = { setup: 0x10000, commandLine: 0x20000, kernel: ONE_MIB } as const;

/** Setup code enters the kernel by itself; it asks the machine's real-mode services for memory. */
function realModeLoad(image: BzImage): Kernel["load"] {
	return (payload, map) => {
		const { name } = image.file;
		checkCommandLine(payload, image);
		map.put(`${name}: the kernel`, REAL_MODE.kernel, image.kernel);
		map.put("--append", REAL_MODE.commandLine, zeroEnded(payload.commandLine));
		const [initrd] = payload.modules;
		const place = initrd && {
			address: map.allocate(initrd.name, initrd.bytes, { align: PAGE, below: image.initrdMax + 1, high: true }),
			size: initrd.bytes.length,
		};
		map.put(
			`${name}: the setup code`,
			REAL_MODE.setup,
			realModeSetup(image, place),
			REAL_MODE.commandLine - REAL_MODE.setup,
		);
		const segment = REAL_MODE.setup >> 4;
		return {
			bits: 16,
			entry: REAL_MODE.setup + SETUP_ENTRY,
			codeSegment: segment + (SETUP_ENTRY >> 4),
			dataSegment: segment,
			registers: { rsp: REAL_MODE.commandLine - REAL_MODE.setup - 16 },
		};
	};
}

/** The setup part as the 16-bit entry wants it: loader, heap, command line and RAM disk filled in. */
export function realModeSetup(
	{ setup, file }: BzImage,
	initrd: { address: number; size: number } | undefined,
): Uint8Array {
	const bytes = setup.slice();
	const view = new DataView(bytes.buffer);
	view.setUint8(HEADER.loader, UNREGISTERED_LOADER);
	view.setUint8(HEADER.loadFlags, file.u8(HEADER.loadFlags, "") | CAN_USE_HEAP);
	view.setUint16(HEADER.heapEnd, REAL_MODE.commandLine - REAL_MODE.setup - 0x200, true);
	view.setUint16(HEADER.vidMode, NORMAL_VIDEO, true);
	view.setUint32(HEADER.commandLine, REAL_MODE.commandLine, true);
	view.setUint32(HEADER.ramdisk, initrd?.address ?? 0, true);
	view.setUint32(HEADER.ramdiskSize, initrd?.size ?? 0, true);
	return bytes;
}

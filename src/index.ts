/** tsvmm as a library: describe a machine, give it a host to stand on, run it. */
export { Bug, UserError } from "./base/errors.ts";
export { type Logger, silentLogger } from "./base/logger.ts";
export type { ByteSink } from "./bus/device.ts";
export { type MachineConfig, machineConfig, type OptionTexts, type TraceCategory } from "./config/index.ts";
export { RomWriteJournal } from "./debug/rom-write-journal.ts";
export type { ByteSource } from "./host/byte-source.ts";
export { nullSink } from "./host/byte-writer.ts";
export { Expectations, type Verdict } from "./host/expectations.ts";
export { screenText, type TextCells } from "./host/text-screen.ts";
export { Machine } from "./machine/index.ts";
export type {
	ChosenFirmware,
	CodeMode,
	End,
	EndKind,
	FlashActivity,
	FlashEvent,
	FlashSink,
	MachineHost,
	Outcome,
	RomWrite,
	RomWriteSink,
	SerialLine,
	StopReason,
	TraceEvent,
} from "./machine/outcome.ts";

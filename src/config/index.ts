export { addressRange, type BreakWish } from "./break.ts";
export type { FlashBlocks, FlashChips, FlashImage } from "./flash.ts";
export type { OutputTarget, RtcStart } from "./kinds.ts";
export type { ListenAddress } from "./listen-address.ts";
export type { MachineConfig } from "./options.ts";
export { machineConfig, type OptionTexts } from "./resolve.ts";
export { TRACE_CATEGORIES, type TraceCategory, type TraceWish } from "./trace.ts";

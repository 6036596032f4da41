export type { FlashImage, OutputTarget, RtcStart } from "./kinds.ts";
export type { MachineConfig } from "./options.ts";
export { TRACE_CATEGORIES, type TraceCategory } from "./sections/reporting.ts";

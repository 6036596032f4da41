import { type GivenOptions, resolveConfig } from "../config/resolve.ts";
import { formatMemoryReport, memoryReportJson, reportMemory } from "../machine/memory-report.ts";

/** `tsvmm slots`: how a machine's memory is laid out, without running it. */
export async function slots(file: string | undefined, flags: GivenOptions, json: boolean): Promise<string> {
	const fromFile = file === undefined ? [] : [(await import("../config/machine-file.ts")).readMachineFile(file)];
	const report = await reportMemory(resolveConfig(...fromFile, flags));
	return json ? memoryReportJson(report) : formatMemoryReport(report);
}

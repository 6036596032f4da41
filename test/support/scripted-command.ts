/** The tsvmm command with a {@link ScriptedMachine} in place of a real one. The script comes as JSON in TSVMM_TEST_SCRIPT. */
import { main } from "../../src/cli/main.ts";
import { ScriptedMachine, type Step } from "./scripted-machine.ts";

function steps(): readonly Step[] {
	const script = JSON.parse(process.env["TSVMM_TEST_SCRIPT"] ?? "[]", (key, value: unknown) => {
		if (key === "rip" || key === "linear" || key === "target") return BigInt(String(value));
		if (key === "data" || key === "code" || key === "old") return Uint8Array.from(value as number[]);
		return key === "throws" ? new Error(String(value)) : value;
	}) as readonly Step[];
	return script;
}

process.exit(await main(process.argv.slice(2), async (config, host) => new ScriptedMachine(config, host, steps())));

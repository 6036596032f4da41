import { main } from "./main.ts";

const status = await main(process.argv.slice(2), async (config, host) => {
	const { Machine } = await import("../machine/index.ts");
	return new Machine(config, host);
});
// Everything has been written; whatever else might keep the process alive shall not.
process.exit(status);

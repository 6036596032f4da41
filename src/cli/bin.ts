import { Machine } from "../machine/index.ts";
import { main } from "./main.ts";

main(process.argv.slice(2), async (config, host) => new Machine(config, host)).then((status) => {
	// Everything has been written; whatever else might keep the process alive shall not.
	process.exit(status);
});

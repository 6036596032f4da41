import { prepareMachine } from "../machine/prepare.ts";

const words = process.argv.slice(2);
// Before anything else is even loaded.
if (words[0] === "run") prepareMachine();

import("./main.ts")
	.then(({ main }) =>
		main(words, async (config, host) => {
			const { Machine } = await import("../machine/index.ts");
			return new Machine(config, host);
		}),
	)
	.then((status) => {
		// Everything has been written; whatever else might keep the process alive shall not.
		process.exit(status);
	});

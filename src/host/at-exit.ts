/** What is to be done when this process ends by itself, in the order in which it was asked for. */
const actions = new Set<() => void>();

/**
 * Does `action` when the process ends with its event loop or by process.exit(), also after an error that nobody caught; not when
 * it is killed. What it throws is ignored. @returns what calls it off.
 */
export function atExit(action: () => void): () => void {
	if (actions.size === 0) process.on("exit", doAll);
	actions.add(action);
	return () => {
		actions.delete(action);
		if (actions.size === 0) process.off("exit", doAll);
	};
}

function doAll(): void {
	for (const action of [...actions]) {
		try {
			action();
		} catch {
			// There is nobody left to tell, and the others have things to save, too.
		}
	}
}

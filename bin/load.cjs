const fs = require("node:fs");
const module_ = require("node:module");
const path = require("node:path");
const vm = require("node:vm");

const COMMAND = path.join(__dirname, "../dist/command/tsvmm.cjs");
/** Compiled code belongs to one version of V8 on one kind of processor. */
const CODE = `${COMMAND}.${process.versions.v8}.${process.arch}.cache`;

/** Keeps the compiled code of the command when the process ends, for the next ones. */
function keepCode(script) {
	process.on("exit", () => {
		const unfinished = `${CODE}.${process.pid}`;
		try {
			fs.writeFileSync(unfinished, script.createCachedData());
			fs.renameSync(unfinished, CODE);
		} catch {
			// Installed where this user may not write: every run compiles.
		}
	});
}

function run(script) {
	const command = { exports: {} };
	const wrapped = script.runInThisContext();
	wrapped(command.exports, module_.createRequire(COMMAND), command, COMMAND, path.dirname(COMMAND));
}

/** The command's text as the body of a function, read into one buffer: a string put together would be copied onto V8's heap. */
function source() {
	const [before, after] = ["(function (exports, require, module, __filename, __dirname) {", "\n})"];
	const file = fs.openSync(COMMAND);
	try {
		const { size } = fs.fstatSync(file);
		const text = Buffer.allocUnsafe(before.length + size + after.length);
		text.latin1Write(before, 0);
		const read = fs.readSync(file, text, before.length, size, 0);
		text.latin1Write(after, before.length + read);
		// The bundle is plain ASCII, which latin1 reads fastest.
		return text.latin1Slice(0, before.length + read + after.length);
	} finally {
		fs.closeSync(file);
	}
}

function compile(cachedData) {
	return new vm.Script(source(), {
		filename: COMMAND,
		cachedData,
		importModuleDynamically: vm.constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
	});
}

/**
 * Loads the bundled command, with the compiled code that the build, or an earlier run of an installed package, has kept beside it:
 * that halves what the command adds to Node's own start.
 */
exports.load = () => {
	if (fs.existsSync(CODE)) {
		const script = compile(fs.readFileSync(CODE));
		if (script.cachedDataRejected) keepCode(script);
		run(script);
	} else if (fs.existsSync(COMMAND) && module_.enableCompileCache) {
		// Node 22 and later keep compiled code between runs themselves.
		module_.enableCompileCache();
		require(COMMAND);
	} else if (fs.existsSync(COMMAND)) {
		exports.prepare();
	} else {
		process.stderr.write("tsvmm is not built yet; build it with: npm ci && npm run build\n");
		process.exitCode = 2;
	}
};

/** For the build: loads the command and keeps its compiled code. */
exports.prepare = () => {
	const script = compile(undefined);
	keepCode(script);
	run(script);
};

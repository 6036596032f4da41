const PROBLEMS: Readonly<Record<string, string>> = {
	ENOENT: "does not exist",
	ENOTDIR: "does not exist (a part of its path is not a folder)",
	EACCES: "is not accessible (permission denied)",
	EPERM: "is not accessible (operation not permitted)",
	EISDIR: "is a folder, not a file",
	ENOSPC: "cannot be written (no space left)",
	EROFS: "cannot be written (read-only file system)",
	ENAMETOOLONG: "has too long a name",
	ELOOP: "is a loop of symbolic links",
};

/** What is wrong with a file, to follow its name in a message: `does not exist`. */
export function fileProblem(error: unknown): string {
	const code = error instanceof Error && "code" in error ? String(error.code) : "";
	return PROBLEMS[code] ?? `cannot be used (${error instanceof Error ? error.message : String(error)})`;
}

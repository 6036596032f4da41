import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { STATUS_MEANINGS } from "../../src/cli/exit-status.ts";
import { defaultText, flagSyntax } from "../../src/cli/main.ts";
import type { Option } from "../../src/config/option.ts";
import { OPTIONS } from "../../src/config/options.ts";

const escaped = (cell: string): string => cell.replaceAll("|", "\\|");
const row = (...cells: readonly string[]): string => `| ${cells.map(escaped).join(" | ")} |`;

const SECTIONS: Readonly<Record<string, readonly string[]>> = {
	options: [
		row("option", "meaning"),
		"|---|---|",
		...(OPTIONS as readonly Option[]).map((option) =>
			row(`\`${flagSyntax(option)}\``, option.help + defaultText(option)),
		),
	],
	status: [row("status", "meaning"), "|---|---|", ...STATUS_MEANINGS.map(([status, meaning]) => row(status, meaning))],
};

it("README shows the options and exit statuses that there are (make golden rewrites it)", async () => {
	const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");
	const derived = readme.replace(
		/(<!-- (\w+): derived [^\n]*-->\n).*?(<!-- \/\2 -->)/gs,
		(_all, begin: string, name: string, end: string) => `${begin}${SECTIONS[name]?.join("\n")}\n${end}`,
	);
	for (const name of Object.keys(SECTIONS)) expect(readme).toContain(`<!-- ${name}: derived `);
	await expect(derived).toMatchFileSnapshot("../../README.md");
});

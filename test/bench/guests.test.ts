import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { describeWith } from "../support/guest-files.ts";
import { rebuildImages, toolVersion } from "../support/rebuilt-images.ts";
import { exitRow, rows } from "./rows.ts";

const guests = fileURLToPath(new URL("guests/", import.meta.url));
const builtWith = readFileSync(`${guests}images/TOOLS`, "utf8");
const tools = ["gcc", "ld"].map((tool) => `${toolVersion(tool)}\n`).join("");

describeWith(["gcc"], "test/bench/guests/build.sh", () => {
	// Another compiler gives other bytes.
	test.skipIf(tools !== builtWith)(
		`gives the committed images, byte for byte (${builtWith.trim().replaceAll("\n", "; ")})`,
		() => {
			const images = rebuildImages(`${guests}build.sh`);
			expect([...images.keys()].sort()).toEqual(readdirSync(`${guests}images`).sort());
			for (const [name, bytes] of images) {
				expect(bytes.equals(readFileSync(`${guests}images/${name}`)), `${name} differs: run build.sh`).toBe(true);
			}
		},
	);
});

test("every benchmark row has its source and its image", () => {
	const sources = [...new Set([...rows, exitRow].map(({ name, source = name }) => source))].sort();
	const images = [...rows, exitRow].map(({ name }) => name).sort();
	const list = (folder: string, suffix: string): string[] =>
		readdirSync(guests + folder)
			.filter((name) => name.endsWith(suffix))
			.map((name) => name.slice(0, -suffix.length))
			.sort();
	expect(list("rows", ".c")).toEqual(sources);
	expect(list("images", ".bin")).toEqual(images);
});

/** The script of the page. It builds everything with createElement and textContent: nothing from the guest is ever read as HTML. */
export const PAGE_SCRIPT = `"use strict";
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const page = document.getElementById("page");

function make(name, attributes, ...children) {
	const element = document.createElement(name);
	for (const [key, value] of Object.entries(attributes || {})) {
		if (key === "on") for (const [event, action] of Object.entries(value)) element.addEventListener(event, action);
		else if (value !== undefined) element.setAttribute(key, value);
	}
	for (const child of children.flat(9)) if (child || child === 0) element.append(child);
	return element;
}
function draw(name, attributes, ...children) {
	const element = document.createElementNS("http://www.w3.org/2000/svg", name);
	for (const [key, value] of Object.entries(attributes || {})) element.setAttribute(key, value);
	element.append(...children);
	return element;
}
const number = (value) => String(Math.round(value)).replace(/\\B(?=(\\d{3})+$)/g, ",");
const plural = (count, noun) => number(count) + " " + noun + (Math.round(count) === 1 ? "" : "s");
const hex = (value) => "0x" + value.toString(16).padStart(8, "0");
function size(bytes) {
	for (const [unit, scale] of [["MiB", 1048576], ["KiB", 1024]]) if (bytes >= scale && bytes % scale === 0) return bytes / scale + " " + unit;
	return plural(bytes, "byte");
}
function time(ns) {
	for (const [unit, scale] of [["s", 1e9], ["ms", 1e6], ["us", 1e3]]) if (ns >= scale) return Number((ns / scale).toPrecision(3)) + " " + unit;
	return ns + " ns";
}

const tip = make("div", { id: "tip", hidden: "" });
function showTip(event, text) {
	tip.textContent = text;
	tip.hidden = false;
	const { width, height } = tip.getBoundingClientRect();
	tip.style.left = Math.min(event.clientX + 14, innerWidth - width - 8) + "px";
	tip.style.top = (event.clientY + 18 + height > innerHeight ? event.clientY - height - 10 : event.clientY + 18) + "px";
}
const hideTip = () => { tip.hidden = true; };

function header() {
	const themes = { light: "dark", dark: "light" };
	const now = () => document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
	const button = make("button", { type: "button" });
	const label = () => { button.textContent = now() === "dark" ? "Light" : "Dark"; };
	button.addEventListener("click", () => {
		document.documentElement.dataset.theme = themes[now()];
		label();
		repaint.forEach((paint) => paint());
	});
	label();
	return make("header", {}, make("div", {}, make("h1", {}, "Who wrote to ROM"), make("p", {}, data.run)), button);
}

function facts() {
	return make("div", { class: "facts" }, data.facts.map(([name, value]) =>
		make("div", { class: "fact" }, make("b", {}, number(value)), make("span", {}, name))));
}

const repaint = [];
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
let chosen;

function map() {
	if (data.regions.length === 0) return "";
	const legend = make("span", { class: "legend" }, "few", [1, 2, 3, 4].map((n) => {
		const cell = make("i", {});
		const paint = () => { cell.style.background = shade(n / 4); };
		repaint.push(paint);
		paint();
		return cell;
	}), "many");
	return make("section", { class: "card" },
		make("div", { class: "top" }, make("h2", {}, "Map of the ROM"),
			make("p", { class: "hint" }, "Click a cell to see only what hit it."), legend),
		data.regions.map(region));
}
const mix = (a, b, part) => Math.round(a + (b - a) * part);
function rgb(text) {
	const value = parseInt(text.slice(1), 16);
	return [value >> 16, (value >> 8) & 255, value & 255];
}
function shade(part) {
	const [from, to] = [rgb(colour("--cell")), rgb(colour("--accent"))];
	return "rgb(" + from.map((value, n) => mix(value, to[n], part === 0 ? 0 : 0.3 + 0.7 * part)).join(",") + ")";
}
function region(area) {
	const columns = Math.min(area.length, 128);
	const lines = Math.ceil(area.length / columns);
	const hits = new Map(area.hit.map(([at, count, rows]) => [at, { count, rows }]));
	const most = Math.max(1, ...area.hit.map(([, count]) => count));
	const canvas = make("canvas", {});
	const px = 10;
	const tall = Math.max(px, Math.min(28, 96 / lines));
	canvas.width = columns * px;
	canvas.height = Math.ceil(lines * tall);
	const paint = () => {
		const context = canvas.getContext("2d");
		context.clearRect(0, 0, canvas.width, canvas.height);
		for (let at = 0; at < area.length; at++) {
			const hit = hits.get(at);
			const strength = hit === undefined ? 0 : Math.max(0.15, Math.log1p(hit.count) / Math.log1p(most));
			context.fillStyle = shade(strength);
			const [x, y] = [(at % columns) * px, Math.floor(at / columns) * tall];
			context.fillRect(x, y, px - 1.5, tall - 1.5);
			if (chosen && chosen.area === area && chosen.at === at) {
				context.strokeStyle = colour("--text");
				context.lineWidth = 2;
				context.strokeRect(x, y, px - 1.5, tall - 1.5);
			}
		}
	};
	repaint.push(paint);
	paint();
	const cellAt = (event) => {
		const box = canvas.getBoundingClientRect();
		const x = Math.floor(((event.clientX - box.left) / box.width) * columns);
		const y = Math.floor(((event.clientY - box.top) / box.height) * lines);
		return y * columns + Math.min(Math.max(x, 0), columns - 1);
	};
	canvas.addEventListener("mousemove", (event) => {
		const at = cellAt(event);
		if (at < 0 || at >= area.length) return hideTip();
		const first = area.first + at * area.cellBytes;
		const hit = hits.get(at);
		const places = hit === undefined ? "not hit" : plural(Math.max(hit.count, 1), "store") + " from " + hit.rows.slice(0, 6).map((n) => {
			const row = data.rows[n];
			return "#" + row.number + " " + (row.place || row.instruction);
		}).join("\\n") + (hit.rows.length > 6 ? "\\nand " + (hit.rows.length - 6) + " more" : "");
		showTip(event, hex(first) + " – " + hex(first + area.cellBytes - 1) + "\\n" + places);
	});
	canvas.addEventListener("mouseleave", hideTip);
	canvas.addEventListener("click", (event) => {
		const at = cellAt(event);
		const hit = hits.get(at);
		const same = chosen && chosen.area === area && chosen.at === at;
		chosen = hit === undefined || same ? undefined : { area, at, rows: hit.rows };
		repaint.forEach((again) => again());
		list();
	});
	return make("div", { class: "region" },
		make("div", { class: "name" }, make("b", {}, area.name), make("code", {}, area.range),
			make("span", { class: "sub" }, size(area.size) + ", a cell is " + size(area.cellBytes))),
		make("div", { class: "map" }, canvas));
}

function timeline() {
	const { slotNs, counts } = data.timeline;
	if (counts.length === 0) return "";
	const [width, height, base] = [1200, 110, 90];
	const most = Math.max(...counts);
	const slots = Math.max(counts.length, 60);
	const step = width / slots;
	const svg = draw("svg", { viewBox: "0 0 " + width + " " + height, role: "img", "aria-label": "Stores over guest time" });
	svg.append(draw("line", { x1: 0, x2: width, y1: base + .5, y2: base + .5 }));
	counts.forEach((count, n) => {
		if (count > 0) {
			const tall = Math.max(2, (count / most) * (base - 6));
			svg.append(draw("rect", { class: "bar", x: n * step, y: base - tall, width: Math.max(step - Math.min(1, step / 4), .8), height: tall, rx: Math.min(2, step / 4) }));
		}
		const hit = draw("rect", { class: "hit", x: n * step, y: 0, width: step, height: base, style: "mix-blend-mode: multiply" });
		hit.addEventListener("mousemove", (event) => showTip(event, time(n * slotNs) + " – " + time((n + 1) * slotNs) + "\\n" + plural(count, "time")));
		hit.addEventListener("mouseleave", hideTip);
		svg.append(hit);
	});
	for (let n = 0; n <= 4; n++) {
		const anchor = n === 0 ? "start" : n === 4 ? "end" : "middle";
		const label = draw("text", { x: (width * n) / 4, y: height - 4, "text-anchor": anchor });
		label.textContent = time(Math.round((slots * slotNs * n) / 4));
		svg.append(label);
	}
	return make("section", { class: "card" },
		make("div", { class: "top" }, make("h2", {}, "Over guest time"), make("p", { class: "hint" }, "a bar is " + time(slotNs) + ", the highest " + plural(most, "time"))), svg);
}

function spark({ slotNs, counts }) {
	const all = data.timeline;
	const total = Math.max(all.counts.length * all.slotNs, 1);
	const bins = new Array(45).fill(0);
	counts.forEach((count, n) => { bins[Math.min(44, Math.floor(((n * slotNs) / total) * 45))] += count; });
	const most = Math.max(1, ...bins);
	const svg = draw("svg", { class: "spark", viewBox: "0 0 90 18" });
	svg.append(draw("line", { x1: 0, x2: 90, y1: 17.5, y2: 17.5 }));
	bins.forEach((count, n) => {
		const tall = count === 0 ? 0 : Math.max(2, (count / most) * 16);
		if (count > 0) svg.append(draw("rect", { class: "bar", x: n * 2, y: 17 - tall, width: 1.6, height: tall }));
	});
	return svg;
}

const COLUMNS = [
	["#", (row) => row.number, "number"],
	["Count", (row) => row.count, "number"],
	["Address", (row) => row.low, ""],
	["Value", (row) => row.value, ""],
	["Where", (row) => row.place || row.at, ""],
	["Instruction", (row) => row.instruction, ""],
	["First", (row) => row.first, "number"],
	["When", undefined, ""],
];
let order = { column: 0, up: true };
let wanted = "";
const opened = new Set();
let body;
let note;
let heads;

function text(row) {
	return [row.region, row.command, row.writer, row.range, row.value, row.old, row.whole, row.mode, row.place, row.line,
		row.stacks.map(({ frames }) => frames.map((frame) => frame.text).join(" ")).join(" ")].join(" ").toLowerCase();
}
const texts = data.rows.map(text);

function table() {
	heads = COLUMNS.map(([name, key, kind], column) => {
		const head = make("th", { class: kind, scope: "col" }, key === undefined ? name : make("button", { type: "button", on: { click: () => {
			order = { column, up: order.column === column ? !order.up : kind !== "number" || column === 0 };
			list();
		} } }, name));
		return head;
	});
	body = make("tbody", {});
	note = make("p", { class: "hint" });
	const search = make("input", { type: "search", placeholder: "Filter: symbol, file, address, instruction", "aria-label": "Filter" });
	search.addEventListener("input", () => { wanted = search.value.toLowerCase(); list(); });
	const section = make("section", { class: "card" },
		make("div", { class: "top" }, make("h2", {}, "By instruction"), note, make("div", { class: "tools" }, search)),
		make("div", { class: "scroll" }, make("table", {}, make("thead", {}, make("tr", {}, heads)), body)));
	list();
	return section;
}

function list() {
	const [, key] = COLUMNS[order.column];
	heads.forEach((head, n) => {
		if (n === order.column) head.setAttribute("aria-sort", order.up ? "ascending" : "descending");
		else head.removeAttribute("aria-sort");
	});
	const shown = data.rows.map((row, n) => ({ row, n })).filter(({ n }) => texts[n].includes(wanted) && (!chosen || chosen.rows.includes(n)));
	shown.sort(({ row: a }, { row: b }) => {
		const [x, y] = [key(a), key(b)];
		const way = typeof x === "number" ? x - y : x.localeCompare(y);
		return (order.up ? way : -way) || a.number - b.number;
	});
	const parts = [];
	if (shown.length < data.rows.length) parts.push(shown.length + " of " + plural(data.rows.length, "place"));
	if (chosen) parts.push("those that hit " + hex(chosen.area.first + chosen.at * chosen.area.cellBytes) + " (click the cell again for all)");
	if (data.shown) parts.push("selected: " + data.shown);
	if (data.left) parts.push("and " + data.left + " from further places, only counted");
	note.textContent = parts.join(", ") || "Click a row for call stacks and values.";
	body.replaceChildren(...shown.flatMap(({ row }) => opened.has(row.number) ? [line(row), detail(row)] : [line(row)]));
	if (shown.length === 0) body.append(make("tr", {}, make("td", { colspan: COLUMNS.length, class: "empty" }, data.rows.length === 0 ? "Nothing was stored to ROM." : "Nothing fits.")));
}

function line(row) {
	const toggle = () => {
		if (!opened.delete(row.number)) opened.add(row.number);
		list();
	};
	const open = opened.has(row.number);
	return make("tr", { class: open ? "row open" : "row", tabindex: "0", "aria-expanded": String(open), on: { click: () => { if (String(getSelection()) === "") toggle(); }, keydown: (event) => { if (event.key === "Enter") toggle(); } } },
		make("td", { class: "number sub" }, String(row.number)),
		make("td", { class: "number" }, number(row.count)),
		make("td", {}, make("code", {}, row.range), make("br"), make("span", { class: "sub" }, row.region), row.command && [" ", make("span", { class: "tag" }, row.command)]),
		make("td", {}, make("code", { class: "value" }, cut(row.value)), row.old && [make("br"), make("span", { class: "sub" }, "there: "), make("code", {}, cut(row.old))], row.faulted && [make("br"), make("span", { class: "tag bad" }, "#GP(0)")]),
		make("td", { class: "wrap" }, row.place ? make("span", { class: "place" }, row.place) : make("code", {}, row.at), row.writer && [make("br"), make("span", { class: "tag" }, row.writer)]),
		make("td", {}, make("code", { class: "asm" }, row.instruction), make("br"), make("span", { class: "sub" }, row.mode)),
		make("td", { class: "number" }, row.firstText),
		make("td", {}, spark(row.timeline)));
}
const cut = (value) => value.length > 22 ? value.slice(0, 21) + "…" : value;

function detail(row) {
	const stacks = row.stacks.map((stack, n) => [
		n > 0 ? make("p", { class: "sub" }, "from " + stack.since + " on:") : "",
		make("ol", {}, stack.frames.map((frame) => make("li", {}, frame.how === "scan" && make("span", { class: "sub" }, "? "), frame.name && [make("b", {}, frame.name), " "], frame.line && [frame.line, " "], make("code", { class: "sub", title: frame.text }, frame.address))))]);
	const doubtful = row.stacks.some(({ frames }) => frames.some(({ how }) => how === "scan"));
	const samples = make("table", {}, make("tr", {}, ["Address", "Value", "There", "Bytes", "Time"].map((name) => make("th", {}, name))),
		row.samples.map((sample) => make("tr", {}, make("td", {}, make("code", {}, sample.gpa)), make("td", {}, make("code", { class: "value" }, cut(sample.value))), make("td", {}, make("code", {}, cut(sample.old))), make("td", {}, String(sample.size)), make("td", {}, sample.time))));
	const facts = [
		["Instruction", make("code", { class: "asm" }, row.whole)], ["Bytes of code", make("code", {}, row.code)], ["Mode", row.mode + ", processor " + row.cpu],
		["First", row.firstText + ", after " + row.firstInstructions], ["Last", row.lastText + ", after " + row.lastInstructions], ["In all", plural(row.bytes, "byte")],
	];
	return make("tr", { class: "detail" }, make("td", { colspan: COLUMNS.length }, make("div", { class: "columns" },
		make("section", {}, make("h3", {}, "Call stack"), stacks.length ? stacks : make("p", { class: "sub" }, row.place || "none was found"), row.stacksLeftOut && make("p", { class: "sub" }, "and other ways"), doubtful && make("p", { class: "sub" }, "? only looks like a return address")),
		make("section", {}, make("h3", {}, row.samples.length < row.count ? "The first stores and the last" : "Stores"), samples),
		make("section", {}, make("h3", {}, "The instruction"), make("table", {}, facts.map(([name, value]) => make("tr", {}, make("td", { class: "sub" }, name), make("td", { style: "white-space: normal" }, value))))),
		make("section", {}, make("h3", {}, "Addresses"), make("table", {}, row.ranges.map((range) => make("tr", {}, make("td", {}, make("code", {}, range.text)), make("td", {}, plural(range.count, "time"))))), row.rangesJoined ? make("p", { class: "sub" }, "not every byte in between") : ""))));
}

page.append(header(), facts());
const parts = [map(), timeline(), table()];
for (const part of parts) if (part !== "") page.append(part);
document.body.append(tip);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint.forEach((paint) => paint()));
if (location.hash === "#open") { data.rows.slice(0, 1).forEach((row) => opened.add(row.number)); list(); }
})();
`;

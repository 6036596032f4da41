/** The style of the page: light, and dark where the reader's system is, or the button says so. */
export const PAGE_STYLE = `
:root {
	color-scheme: light dark;
	--back: #f6f7f9; --card: #ffffff; --line: #dfe3e8; --text: #1c2430; --soft: #5c6773; --accent: #c2410c;
	--accent-soft: #fdeee4; --cell: #e9edf1; --code: #0f4c81; --good: #1a7f4b; --shadow: 0 1px 2px rgb(16 24 40 / 6%);
}
@media (prefers-color-scheme: dark) { :root:not([data-theme=light]) {
	--back: #11151a; --card: #191f26; --line: #2b333d; --text: #e4e9ef; --soft: #93a0ad; --accent: #fb923c;
	--accent-soft: #38230f; --cell: #242c35; --code: #7cc4ff; --good: #5bd08d; --shadow: none;
} }
:root[data-theme=dark] {
	--back: #11151a; --card: #191f26; --line: #2b333d; --text: #e4e9ef; --soft: #93a0ad; --accent: #fb923c;
	--accent-soft: #38230f; --cell: #242c35; --code: #7cc4ff; --good: #5bd08d; --shadow: none; color-scheme: dark;
}
:root[data-theme=light] { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 14px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1280px; margin: 0 auto; padding: 28px 24px 64px; }
header { display: flex; align-items: flex-start; gap: 16px; margin-bottom: 20px; }
h1 { font-size: 22px; line-height: 1.25; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 15px; margin: 0; }
header p, .hint { color: var(--soft); margin: 4px 0 0; }
header > div { flex: 1; }
code, .mono { font-family: ui-monospace, SFMono-Regular, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: 12.5px; }
button, input { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 6px 12px; }
button { cursor: pointer; }
button:hover { border-color: var(--accent); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; margin-bottom: 16px; }
.fact, .card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; box-shadow: var(--shadow); }
.fact { padding: 14px 16px; }
.fact b { display: block; font-size: 22px; line-height: 1.2; font-variant-numeric: tabular-nums; }
.fact span { color: var(--soft); }
.card { padding: 16px; margin-bottom: 16px; }
.card > .top { display: flex; align-items: baseline; gap: 12px; margin-bottom: 12px; flex-wrap: wrap; }
.top .hint { margin: 0; flex: 1; }
.region + .region { margin-top: 20px; }
.region .name { display: flex; gap: 12px; align-items: baseline; margin-bottom: 6px; flex-wrap: wrap; }
.region .name b { font-weight: 600; }
.map { position: relative; }
canvas { display: block; width: 100%; image-rendering: pixelated; border-radius: 6px; cursor: crosshair; }
.legend { display: inline-flex; gap: 4px; align-items: center; color: var(--soft); }
.legend i { width: 14px; height: 10px; border-radius: 2px; background: var(--cell); }
svg { display: block; width: 100%; overflow: visible; }
svg .bar { fill: var(--accent); }
svg .hit { fill: transparent; cursor: default; }
svg .hit:hover { fill: var(--accent-soft); }
svg line { stroke: var(--line); }
svg text { fill: var(--soft); font-size: 11px; }
#tip { position: fixed; z-index: 9; pointer-events: none; background: var(--text); color: var(--card); border-radius: 8px; padding: 6px 10px; font-size: 12px; max-width: 420px; white-space: pre-line; }
.tools { display: flex; gap: 8px; align-items: center; }
.tools input { width: 260px; }
.scroll { overflow-x: auto; margin: 0 -16px -16px; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 8px 12px; border-top: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: 12px; position: sticky; top: 0; background: var(--card); }
th button { border: 0; padding: 0; background: none; font-weight: 600; }
th button:hover { color: var(--accent); }
th[aria-sort=ascending] button::after { content: " ▲"; font-size: 9px; }
th[aria-sort=descending] button::after { content: " ▼"; font-size: 9px; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
td.wrap { white-space: normal; min-width: 180px; }
tr.row { cursor: pointer; }
tr.row:hover td, tr.open td { background: var(--accent-soft); }
tr.detail > td { background: var(--back); padding: 16px 20px 20px; white-space: normal; }
.sub { color: var(--soft); }
.value { color: var(--accent); }
.asm { color: var(--code); }
.place { color: var(--good); font-weight: 600; }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 6px; padding: 0 6px; font-size: 12px; color: var(--soft); }
.tag.bad { color: var(--accent); border-color: currentColor; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(380px, 1fr)); gap: 20px; }
.columns h3 { font-size: 13px; margin: 0 0 6px; }
.columns h3 + .sub { margin: -4px 0 6px; }
ol { margin: 0 0 8px; padding: 0; list-style: none; }
ol li { padding: 2px 0 2px 18px; border-left: 2px solid var(--line); margin-left: 4px; overflow-wrap: anywhere; }
ol li:first-child { border-color: var(--good); }
.columns table td, .columns table th { padding: 3px 10px 3px 0; font-size: 12.5px; border-color: var(--line); position: static; background: none; }
.columns section { min-width: 0; overflow-x: auto; }
.spark { width: 90px; height: 18px; }
.empty { padding: 32px 16px; text-align: center; color: var(--soft); }
@media print { .tools, header button { display: none; } body { background: none; } }
`;

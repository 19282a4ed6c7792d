import { paletteRules } from './palette.ts';

/** What pages look like; no build step, no other origin. */

const LIGHT = {
  grounds: ['#ffffff', '#ffebe9'],
  text: '#1f2328',
  system:
    '#24292f #cf222e #116329 #7d4e00 #0969da #8250df #1b7c83 #6e7781 #57606a #a40e26 #1a7f37 #633c01 #218bff #a475f9 #3192aa #8c959f'.split(
      ' ',
    ),
};
const DARK = {
  grounds: ['#0d1117', '#3c1618'],
  text: '#f0f6fc',
  system:
    '#6e7681 #ff7b72 #3fb950 #d29922 #58a6ff #bc8cff #39c5cf #b1bac4 #8b949e #ffa198 #56d364 #e3b341 #79c0ff #d2a8ff #56d4dd #f0f6fc'.split(
      ' ',
    ),
};

/** The one style sheet. */
export const STYLE = `:root{color-scheme:light dark;--bg:#fff;--panel:#f6f8fa;--text:#1f2328;--dim:#59636e;--line:#d1d9e0;--link:#0969da;--ok:#1a7f37;--bad:#d1242f;--warn:#9a6700;--mark:#fff8c5;--tint:#ffebe9;--mono:12px/20px ui-monospace,SFMono-Regular,"SF Mono",Menlo,Consolas,"Liberation Mono",monospace}
@media(prefers-color-scheme:dark){:root{--bg:#0d1117;--panel:#151b23;--text:#f0f6fc;--dim:#9198a1;--line:#3d444d;--link:#4493f8;--ok:#3fb950;--bad:#ff7b72;--warn:#d29922;--mark:#3b2e00;--tint:#3c1618}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--text);font:14px/1.5 -apple-system,BlinkMacSystemFont,"Segoe UI","Noto Sans",Helvetica,Arial,sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}p a,li a{text-decoration:underline;text-underline-offset:2px}
.skip{position:absolute;left:-9999px}.skip:focus{left:8px;top:8px;z-index:9;background:var(--bg);padding:4px 12px}
.top{display:flex;gap:16px;align-items:center;padding:10px 20px;background:var(--panel);border-bottom:1px solid var(--line)}
.trail{flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.home{font-weight:600;color:var(--text)}.home img{vertical-align:-4px;margin-right:8px}.sep{color:var(--dim);margin:0 6px}
.top form{display:flex;gap:6px;flex:0 1 440px;min-width:0}.more{display:flex;gap:16px}
input{min-width:0;padding:4px 10px;border:1px solid var(--line);border-radius:6px;background:var(--bg);color:var(--text);font:inherit}input[type=text],input[type=search]{flex:1}::placeholder{color:var(--dim);opacity:1}
button,.go{padding:4px 12px;border:1px solid var(--line);border-radius:6px;background:var(--panel);color:var(--text);font:inherit;cursor:pointer;display:inline-block;text-decoration:none!important}.go{border-color:var(--link);color:var(--link);font-weight:600;margin-right:8px}
main{padding:20px;max-width:1600px;margin:0 auto}h1{font-size:20px;margin:0 0 4px;font-weight:600;overflow-wrap:anywhere}h2{font-size:15px;margin:24px 0 8px}
.facts{color:var(--dim);margin:0 0 12px;overflow-wrap:anywhere}.facts b{font-weight:600}.ok{color:var(--ok)}.bad{color:var(--bad)}.dim{color:var(--dim)}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid var(--line);vertical-align:top;overflow-wrap:anywhere}thead th{font-weight:600;color:var(--dim)}tbody th{font-weight:400;color:var(--dim)}.num{text-align:right;white-space:nowrap}.result{font-weight:600;white-space:nowrap}.facts-table th{width:300px}
.mark{margin-left:8px;padding:0 6px;border:1px solid var(--line);border-radius:9px;font-size:12px;color:var(--dim);white-space:nowrap}.mark.bad{color:var(--bad);border-color:var(--bad)}
.filters{margin:0 0 12px}.filters summary{cursor:pointer;color:var(--link);width:max-content}.filters form{display:flex;flex-wrap:wrap;gap:8px 12px;align-items:end;padding:8px 0}.filters label{display:flex;flex-direction:column;color:var(--dim);font-size:12px;width:150px}.filters .check{flex-direction:row;gap:6px;width:auto;align-items:center;padding-bottom:6px}
.charts{display:flex;flex-wrap:wrap;gap:16px 32px;margin:8px 0 16px}.chart{margin:0;width:240px}.chart svg{display:block;width:240px;height:48px;border-bottom:1px solid var(--line)}.chart rect{fill:var(--link)}.chart.bad rect{fill:var(--bad)}.ends{display:flex;justify-content:space-between;font-size:11px}
.seal{border:1px solid var(--line);border-left:4px solid var(--dim);border-radius:6px;padding:6px 12px;margin:0 0 16px;background:var(--panel);overflow-wrap:anywhere}.seal.good{border-left-color:var(--ok)}.seal.wrong{border-left-color:var(--bad)}.seal ul{margin:4px 0;padding-left:20px}
.log{display:grid;grid-template-columns:280px minmax(0,1fr);gap:20px;align-items:start}.steps{position:sticky;top:12px;max-height:calc(100vh - 24px);overflow:auto}.steps ol{list-style:none;margin:0;padding:0}.steps li{display:flex;gap:8px;padding:3px 8px;border-radius:6px}.steps li:hover{background:var(--panel)}.steps a{flex:1;color:inherit;overflow-wrap:anywhere;text-decoration:none}.steps a:hover{text-decoration:underline}.took{color:var(--dim);white-space:nowrap}
.tools{display:flex;flex-wrap:wrap;gap:12px;align-items:center;padding:8px 0;position:sticky;top:0;background:var(--bg);z-index:2}.tools form{display:flex;gap:6px}
.lines{font:var(--mono);border:1px solid var(--line);border-radius:6px;overflow:clip;background:var(--bg)}
.lines summary{padding:6px 12px;background:var(--panel);cursor:pointer;overflow-wrap:anywhere;font-weight:600}.step>summary{position:sticky;top:47px;border-bottom:1px solid var(--line);z-index:1}.step>summary .took{float:right;font-weight:400}.step.ok,.step.bad,.step.dim{color:inherit}.step.bad>summary{color:var(--bad)}
.group>summary{background:none;font-weight:400;padding:0 12px 0 68px;position:relative}.group>summary::before{content:attr(data-n);position:absolute;left:0;width:56px;text-align:right;color:var(--dim)}
.full{content-visibility:auto;contain-intrinsic-size:auto 5000px}.block>div{position:relative;padding:0 12px 0 68px;min-height:20px;white-space:pre-wrap;overflow-wrap:anywhere}.block>div::before{content:attr(data-n);position:absolute;left:0;width:56px;text-align:right;color:var(--dim);user-select:none;cursor:pointer}
.wide .block>div,.wide .group>summary{padding-left:110px}.wide .block>div::before,.wide .group>summary::before{width:98px}
.block>div:target,.block>div.sel,summary:target,summary.sel{background:var(--mark)}.error{background:var(--tint);box-shadow:inset 3px 0 var(--bad)}.warning{box-shadow:inset 3px 0 var(--warn)}.command{color:var(--link)}.debug{color:var(--dim)}
.stamps .block>div,.stamps .group>summary{padding-left:190px}.stamps.wide .block>div,.stamps.wide .group>summary{padding-left:232px}.stamps .block>div[data-t]::after{content:attr(data-t);position:absolute;left:68px;top:0;color:var(--dim);user-select:none}.stamps.wide .block>div[data-t]::after{left:110px}
.b{font-weight:600}.d{color:var(--dim)}.i{font-style:italic}.u{text-decoration:underline}small{color:var(--dim)}.block a{color:inherit;text-decoration:underline dotted;text-underline-offset:3px}
.note{max-width:720px;overflow-wrap:anywhere}code{font:12px ui-monospace,Menlo,Consolas,monospace;overflow-wrap:anywhere}.logout{margin-top:24px}
:focus-visible{outline:2px solid var(--link);outline-offset:1px}
@media(max-width:800px){.top{flex-wrap:wrap;padding:10px 12px;gap:8px 16px}.top form{flex:1 1 100%;order:3}main{padding:12px}.log{grid-template-columns:minmax(0,1fr);gap:8px}.steps{position:static;max-height:210px;border:1px solid var(--line);border-radius:6px}.keys{display:none}.tools{position:static}.step>summary{top:0}
.block>div{padding-left:48px}.block>div::before,.group>summary::before{width:40px}.group>summary{padding-left:48px}.stamps .block>div,.stamps .group>summary{padding-left:160px}.stamps .block>div[data-t]::after{left:48px}
.jobs thead,.days thead,.gaps thead,.failed thead,.queues thead{position:absolute;left:-9999px}.jobs tr,.days tr,.gaps tr,.failed tr,.queues tr{display:flex;flex-wrap:wrap;gap:0 12px;padding:8px 0;border-bottom:1px solid var(--line)}.jobs td,.days td,.gaps td,.failed td,.queues :is(td,th){padding:0;border:0}.title,.queues th{flex:1 1 100%;order:-1}[data-label]::before{content:attr(data-label) " ";color:var(--dim)}
.facts-table tr{display:block;padding:6px 0;border-bottom:1px solid var(--line)}.facts-table th,.facts-table td{display:block;width:auto;padding:0;border:0}}
${paletteRules(LIGHT)}
@media(prefers-color-scheme:dark){${paletteRules(DARK)}}`;

/** The icon: a log with a seal. */
export const ICON = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect x="4" y="3" width="20" height="26" rx="3" fill="#0969da"/><path d="M8 9h12M8 14h12M8 19h7" stroke="#fff" stroke-width="2"/><circle cx="23" cy="23" r="7" fill="#1a7f37"/><path d="m20 23 2 2 4-4" fill="none" stroke="#fff" stroke-width="2"/></svg>`;

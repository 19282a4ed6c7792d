const ESC = '\u001b';

/** What somebody may put into a log or a name so that whoever shows it does something else. */
const SEEDS: readonly string[] = [
  '<script>alert(1)</script>',
  '<img src=x onerror=alert(1)>',
  '"><svg onload=alert(1)>',
  `'><a href="javascript:alert(1)">x</a>`,
  '<a href=//evil.example>x</a>',
  '</summary></details></main><form action=//evil.example><button>x</button>',
  '<style>body{display:none}</style>',
  '<meta http-equiv=refresh content="0;url=//evil.example">',
  '<base href=//evil.example>',
  '<iframe srcdoc="<script>alert(1)</script>">',
  '&lt;script&gt; &#60;b&#62; &amp;',
  `${ESC}]8;;javascript:alert(1)${ESC}\\click${ESC}]8;;${ESC}\\`,
  `${ESC}]52;c;eA==\u0007clip`,
  `${ESC}[2J${ESC}[1;1Hcleared`,
  `${ESC}[31;1m<b>red</b>${ESC}[0m`,
  `${ESC}[38;2;1;2;3"onmouseover=alert(1)m`,
  '\u202etxt.exe\u2066x',
  'a\rb\r<i>c</i>',
  'javascript:alert(1)//a/b.ts:1',
  '/../../evil/a.ts:1 //evil.example/a.ts:2 https://evil.example/a/b.ts:3',
  '##[error]<script>alert(1)</script>',
  '##[group]<img src=x onerror=alert(1)>',
  '##[endgroup]</div></details>',
  `\`\${alert(1)}\` {{constructor.constructor('alert(1)')()}}`,
  '\u0000\u0001<b\u0000>x',
];

/** So many of them, each with a mark of its own. */
export function hostileTexts(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `${SEEDS[at % SEEDS.length] ?? ''} ${at}`);
}

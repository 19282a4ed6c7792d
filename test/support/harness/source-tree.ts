import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';

/** One source file as the rules of the tree see it. Paths are relative to the repository, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionBody[];
  /** Functions, types and classes that stand in the file itself, not inside another. */
  readonly declared: readonly Declared[];
  readonly environmentReads: readonly number[];
  readonly looseTypes: readonly LooseType[];
  readonly switchedTests: readonly SwitchedTest[];
}

interface Import {
  /** A path of the repository, the name of a package, or `node:…`. */
  readonly target: string;
  readonly line: number;
}

interface FunctionBody {
  readonly name: string;
  readonly line: number;
  readonly lines: number;
}

interface Declared {
  readonly name: string;
  readonly line: number;
  readonly isExported: boolean;
}

interface LooseType {
  readonly what: string;
  readonly line: number;
}

interface SwitchedTest {
  readonly call: string;
  readonly line: number;
}

const TEST_CALLS = new Set(['test', 'it', 'describe', 'suite']);
const SWITCHES = new Set(['only', 'skip', 'todo']);

/** Folders that hold no source of ours, wherever they stand. */
const NOT_OURS = /(^|\/)(node_modules|cdk\.out)\//;

/** Every TypeScript file of ours below the folders; a folder that does not exist has none. */
export function readTree(repository: string, folders: readonly string[]): readonly SourceFile[] {
  const present = folders.filter((folder) => existsSync(join(repository, folder)));
  return present.flatMap((folder) =>
    readdirSync(join(repository, folder), { recursive: true, encoding: 'utf8' })
      .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
      .filter((path) => path.endsWith('.ts') && !NOT_OURS.test(path))
      .sort()
      .map((path) => parseSource(path, readFileSync(join(repository, path), 'utf8'))),
  );
}

/** Reads what the rules ask about out of one file's text. */
export function parseSource(path: string, text: string): SourceFile {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
  const lineOf = (node: ts.Node): number =>
    source.getLineAndCharacterOfPosition(node.getStart(source)).line + 1;
  const imports: Import[] = [];
  const functions: FunctionBody[] = [];
  const environmentReads: number[] = [];
  const looseTypes: LooseType[] = [];
  const switchedTests: SwitchedTest[] = [];

  function look(node: ts.Node): void {
    const specifier = specifierOf(node);
    if (specifier !== null) imports.push({ target: resolved(path, specifier), line: lineOf(node) });
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const end = source.getLineAndCharacterOfPosition(node.end).line + 1;
      functions.push({ name: nameOf(node), line: lineOf(node), lines: end - lineOf(node) + 1 });
    }
    if (isMember(node, 'process', 'env')) environmentReads.push(lineOf(node));
    const loose = looseTypeOf(node);
    if (loose !== null) looseTypes.push({ what: loose, line: lineOf(node) });
    if (
      ts.isPropertyAccessExpression(node) &&
      SWITCHES.has(node.name.text) &&
      TEST_CALLS.has(firstWord(node.expression))
    ) {
      switchedTests.push({ call: node.getText(source), line: lineOf(node) });
    }
    ts.forEachChild(node, look);
  }
  look(source);
  for (const [index, line] of text.split('\n').entries()) {
    if (/(?:\/\/|\/\*)\s*@ts-(?:ignore|expect-error|nocheck)/.test(line))
      looseTypes.push({ what: '@ts comment', line: index + 1 });
  }
  const lines = text.endsWith('\n') ? text.split('\n').length - 1 : text.split('\n').length;
  const declared = source.statements.flatMap((statement) =>
    declaredBy(statement).map((name) => ({
      name,
      line: lineOf(statement),
      isExported: isExported(statement),
    })),
  );
  return { path, text, lines, imports, functions, declared, environmentReads, looseTypes, switchedTests };
}

/** Names of the functions, types and classes that a statement declares. */
function declaredBy(statement: ts.Statement): readonly string[] {
  if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement)
  ) {
    return statement.name === undefined ? [] : [statement.name.text];
  }
  if (!ts.isVariableStatement(statement)) return [];
  return statement.declarationList.declarations.flatMap(({ name, initializer }) =>
    ts.isIdentifier(name) && initializer !== undefined && ts.isFunctionLike(initializer) ? [name.text] : [],
  );
}

function isExported(statement: ts.Statement): boolean {
  const modifiers = ts.canHaveModifiers(statement) ? (ts.getModifiers(statement) ?? []) : [];
  return modifiers.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
}

function specifierOf(node: ts.Node): string | null {
  if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined) {
    return ts.isStringLiteral(node.moduleSpecifier) ? node.moduleSpecifier.text : null;
  }
  if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
    const [argument] = node.arguments;
    // What is only known when it runs could be anything, so it is no import that a rule allows.
    return argument !== undefined && ts.isStringLiteralLike(argument) ? argument.text : 'computed import';
  }
  if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
    return ts.isStringLiteral(node.argument.literal) ? node.argument.literal.text : null;
  }
  return null;
}

function resolved(path: string, specifier: string): string {
  return specifier.startsWith('.') ? join(dirname(path), specifier).replaceAll('\\', '/') : specifier;
}

function nameOf(node: ts.SignatureDeclaration): string {
  if (node.name !== undefined) return node.name.getText();
  return ts.isVariableDeclaration(node.parent) ? node.parent.name.getText() : 'a function';
}

function isMember(node: ts.Node, object: string, member: string): boolean {
  if (ts.isPropertyAccessExpression(node)) {
    return node.name.text === member && node.expression.getText() === object;
  }
  return (
    ts.isElementAccessExpression(node) &&
    node.expression.getText() === object &&
    ts.isStringLiteral(node.argumentExpression) &&
    node.argumentExpression.text === member
  );
}

function looseTypeOf(node: ts.Node): string | null {
  if (node.kind === ts.SyntaxKind.AnyKeyword) return 'any';
  const isDoubleCast =
    ts.isAsExpression(node) &&
    ts.isAsExpression(node.expression) &&
    node.expression.type.kind === ts.SyntaxKind.UnknownKeyword;
  return isDoubleCast ? 'as unknown as' : null;
}

/** Of `test.concurrent.each` it is `test`. */
function firstWord(expression: ts.Expression): string {
  return ts.isPropertyAccessExpression(expression) ? firstWord(expression.expression) : expression.getText();
}

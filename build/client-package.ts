import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build as esbuild } from 'esbuild'
import ts from 'typescript'
import { ifChanged } from './if-changed.ts'
import { root } from './root.ts'

/**
 * `dist/client/`: what `import … from 'brainstorm-sandbox/client'` gets. One file of JavaScript without dependencies,
 * and declarations in which the wire types are written out: whoever installs it needs no zod.
 */
export const buildClient = () =>
  ifChanged(
    'client',
    {
      inputs: ['client', 'core/protocol', 'package-lock.json', 'tsconfig.json', 'build/client-package.ts'],
      outputs: ['dist/client/index.js', 'dist/client/index.d.ts'],
    },
    async () => {
      const folder = join(root, 'dist/client')
      rmSync(folder, { recursive: true, force: true })
      mkdirSync(folder, { recursive: true })
      await esbuild({
        entryPoints: [join(root, 'client/index.ts')],
        outfile: join(folder, 'index.js'),
        bundle: true,
        platform: 'node',
        format: 'esm',
        target: 'node20',
        logLevel: 'silent',
        legalComments: 'none',
      })
      writeDeclarations(folder)
    },
  )

const PROTOCOL = 'core/protocol/index.ts'

function writeDeclarations(folder: string): void {
  const program = programOf(join(root, 'client/index.ts'))
  const protocol: string[] = []
  const needed = new Set<string>()
  const write = (file: string, text: string) => {
    const name = /\/client\/([^/]+)\.d\.ts$/.exec(file)?.[1]
    if (name === undefined) return void protocol.push(text)
    for (const imported of importedFromProtocol(text)) needed.add(imported)
    writeFileSync(join(folder, `${name}.d.ts`), retarget(text))
  }
  const { diagnostics, emitSkipped } = program.emit(undefined, write, undefined, true)
  if (emitSkipped) throw new Error(ts.formatDiagnostics(diagnostics, HOST))
  writeFileSync(join(folder, 'protocol.d.ts'), protocolDeclarations(program, protocol, needed))
}

const HOST: ts.FormatDiagnosticsHost = {
  getCanonicalFileName: (name) => name,
  getCurrentDirectory: () => root,
  getNewLine: () => '\n',
}

function programOf(entry: string): ts.Program {
  const { config } = ts.readConfigFile(join(root, 'tsconfig.json'), (path) => readFileSync(path, 'utf8')) as {
    config: { compilerOptions: object }
  }
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, root)
  return ts.createProgram([entry], {
    ...options,
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    outDir: join(root, 'out/client-types'),
    rootDir: root,
  })
}

/** Names that a declaration file takes from the protocol. */
function importedFromProtocol(text: string): string[] {
  const file = ts.createSourceFile('x.d.ts', text, ts.ScriptTarget.Latest)
  return file.statements.flatMap((statement) => {
    if (!isFromProtocol(statement)) return []
    const names: ts.NodeArray<ts.ImportSpecifier | ts.ExportSpecifier>[] = []
    if (
      ts.isExportDeclaration(statement) &&
      statement.exportClause &&
      ts.isNamedExports(statement.exportClause)
    )
      names.push(statement.exportClause.elements)
    if (ts.isImportDeclaration(statement)) {
      const bindings = statement.importClause?.namedBindings
      if (bindings && ts.isNamedImports(bindings)) names.push(bindings.elements)
    }
    return names.flatMap((list) => list.map(({ name, propertyName }) => (propertyName ?? name).text))
  })
}

const isFromProtocol = (statement: ts.Statement): statement is ts.ImportDeclaration | ts.ExportDeclaration =>
  (ts.isImportDeclaration(statement) || ts.isExportDeclaration(statement)) &&
  statement.moduleSpecifier !== undefined &&
  ts.isStringLiteral(statement.moduleSpecifier) &&
  statement.moduleSpecifier.text.endsWith(PROTOCOL)

const retarget = (text: string): string =>
  text
    .replaceAll(/(['"])\.\.\/core\/protocol\/index\.ts\1/g, "'./protocol.js'")
    .replaceAll(/(['"])(\.\/[\w-]+)\.ts\1/g, "'$2.js'")

const WRITTEN_OUT =
  ts.NodeBuilderFlags.NoTruncation |
  ts.NodeBuilderFlags.InTypeAlias |
  ts.NodeBuilderFlags.UseAliasDefinedOutsideCurrentScope

/** Zod's own name for what JSON may be. */
const JSON_TYPE =
  'export type JSONType = string | number | boolean | null | JSONType[] | { [key: string]: JSONType }'

/** Declares each of `names`, and what these name in turn: types written out, classes and constants as emitted. */
function protocolDeclarations(program: ts.Program, emitted: string[], names: Set<string>): string {
  const checker = program.getTypeChecker()
  const module = program.getSourceFile(join(root, PROTOCOL))
  const symbol = module && checker.getSymbolAtLocation(module)
  if (symbol === undefined) throw new Error(`${PROTOCOL} is not a module`)
  const exports = new Map(checker.getExportsOfModule(symbol).map((each) => [each.name, each]))
  const statements = emitted.flatMap(statementsOf)
  const done = new Map<string, string>([['JSONType', JSON_TYPE]])
  const queue = [...names]
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (done.has(name)) continue
    const found = exports.get(name)
    if (found === undefined) throw new Error(`the protocol exports no ${name}`)
    const text = declarationOf(checker, found, statements)
    done.set(name, text)
    const words = text.replaceAll(/"[^"]*"|'[^']*'|\/\*.*?\*\//gs, '').matchAll(/\b[A-Z]\w+\b/g)
    for (const [word] of words) if (exports.has(word)) queue.push(word)
  }
  const text = `${[...done.values()].join('\n')}\n`
  if (/\bz\.|\bimport\b/.test(text)) throw new Error(`the wire types could not be written out:\n${text}`)
  return text
}

type Statement = { node: ts.Statement; text: string }

function statementsOf(text: string): Statement[] {
  const file = ts.createSourceFile('x.d.ts', text, ts.ScriptTarget.Latest, true)
  return file.statements.map((node) => ({ node, text: text.slice(node.getFullStart(), node.end).trim() }))
}

function declarationOf(checker: ts.TypeChecker, exported: ts.Symbol, statements: Statement[]): string {
  const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
  if (symbol.flags & ts.SymbolFlags.TypeAlias) {
    const type = checker.typeToString(
      checker.getDeclaredTypeOfSymbol(symbol),
      undefined,
      WRITTEN_OUT as number,
    )
    return `export type ${symbol.name} = ${type.replaceAll(/\b(z\.)?core\.util\.JSONType\b/g, 'JSONType')}`
  }
  const found = statements.find(({ node }) => declares(node, symbol.name))
  if (found === undefined) throw new Error(`${symbol.name} is declared nowhere`)
  return found.text
}

function declares(node: ts.Statement, name: string): boolean {
  if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) return node.name?.text === name
  if (!ts.isVariableStatement(node)) return false
  return node.declarationList.declarations.some(
    (each) => ts.isIdentifier(each.name) && each.name.text === name,
  )
}

import { dirname, relative, resolve, sep } from 'node:path'

/**
 * The rule behind the import table of the house: a file may import of our own code only what its folder's row names.
 * Imports are resolved as paths, so that a folder `core/helper` is not taken for `helper`.
 *
 * Option: an object from folder to the folders that it may import beside itself; the longest matching row counts.
 *
 * @type {import('eslint').Rule.RuleModule}
 */
export const importTable = {
  meta: {
    type: 'problem',
    schema: [{ type: 'object', additionalProperties: { type: 'array', items: { type: 'string' } } }],
    messages: { forbidden: '{{from}}/ may import of our own code only: {{allowed}} (not {{target}})' },
  },
  create(context) {
    /** @type {Record<string, string[]>} */
    const table = context.options[0]
    /** @param {string} folder @param {string} file */
    const holds = (folder, file) => file === folder || file.startsWith(folder + '/')
    /** @param {string} path */
    const inHouse = (path) => relative(context.cwd, path).split(sep).join('/')

    const file = inHouse(context.filename)
    const from = Object.keys(table)
      .filter((folder) => holds(folder, file))
      .sort((a, b) => b.length - a.length)[0]
    if (from === undefined) return {}
    const allowed = [from, ...(table[from] ?? [])]

    /** @param {import('estree').Node} node */
    const check = (node) => {
      const source = 'source' in node ? node.source : null
      if (source?.type !== 'Literal' || typeof source.value !== 'string' || !source.value.startsWith('.'))
        return
      const target = inHouse(resolve(dirname(context.filename), source.value))
      if (allowed.some((folder) => holds(folder, target))) return
      context.report({ node, messageId: 'forbidden', data: { from, target, allowed: allowed.join(', ') } })
    }
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
    }
  },
}

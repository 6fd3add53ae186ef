import importX from 'eslint-plugin-import-x'
import reactHooks from 'eslint-plugin-react-hooks'
import tseslint from 'typescript-eslint'

/**
 * The import table of the house: what each folder may import of our own code. Everything absent is forbidden.
 * Packages are not its business. The renderer takes types of the protocol only, which a rule of its own enforces.
 */
const MAY_IMPORT = {
  'core/protocol': [],
  core: ['core'],
  client: ['core/protocol'],
  cli: ['core', 'client'],
  'helper/qemu': ['core/protocol'],
  'guest/image': ['core/protocol'],
  renderer: ['core/protocol'],
  electron: ['core'],
  build: ['core/protocol', 'guest/image'],
}

/** @type {[string, string[]][]} */
const table = Object.entries(MAY_IMPORT)
const zones = table.map(([target, allowed]) => ({
  target: `./${target}`,
  from: './',
  except: [...new Set([target, ...allowed, 'node_modules'])].map((folder) => `./${folder}`),
  message: `${target}/ may import of our own code only: ${[target, ...allowed].join(', ')}`,
}))

export default tseslint.config(
  { ignores: ['dist/', 'out/', 'node_modules/'] },
  ...tseslint.configs.strict,
  {
    plugins: { 'import-x': importX },
    rules: {
      'import-x/no-restricted-paths': ['error', { basePath: import.meta.dirname, zones }],
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  {
    files: ['renderer/**/*.{ts,tsx}'],
    plugins: { 'react-hooks': reactHooks },
    rules: {
      ...reactHooks.configs.recommended.rules,
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          patterns: [
            { group: ['**/core/**'], allowTypeImports: true, message: 'the renderer takes types only' },
          ],
        },
      ],
    },
  },
  {
    // What prints for people, and the tools of the house.
    files: ['build/**', 'guest/image/**', 'test/**', 'cli/**'],
    rules: { 'no-console': 'off' },
  },
)

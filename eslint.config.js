import reactHooks from 'eslint-plugin-react-hooks'
import tseslint from 'typescript-eslint'
import { importTable } from './build/eslint-import-table.js'

/**
 * The import table of the house: what each folder may import of our own code beside itself. Packages are not its
 * business; `test/` may import all.
 */
const MAY_IMPORT = {
  'core/protocol': [],
  core: [],
  client: ['core/protocol'],
  cli: ['core', 'client'],
  'helper/qemu': ['core/protocol'],
  'guest/image': ['core/protocol'],
  renderer: ['core/protocol'],
  electron: ['core'],
  build: ['core/protocol', 'guest/image'],
}

export default tseslint.config(
  { ignores: ['dist/', 'out/', 'node_modules/'] },
  ...tseslint.configs.strict,
  {
    plugins: { house: { rules: { 'import-table': importTable } } },
    rules: {
      'house/import-table': ['error', MAY_IMPORT],
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportDeclaration[source.value="zod"] > ImportSpecifier',
          message: 'import * as z: a bundle then holds what it uses, and not half a megabyte more',
        },
      ],
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

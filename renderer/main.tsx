import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { App } from './shell/index.ts'
import { startStore } from './store/index.ts'

const root = document.getElementById('root')
if (root === null) throw new Error('index.html has no #root')
startStore()
createRoot(root).render(
  <StrictMode>
    <App />
  </StrictMode>,
)

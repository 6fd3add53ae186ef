/** What the app takes as the name of a client. */
export const CLIENT_NAME = /^[A-Za-z0-9._-]{1,64}$/

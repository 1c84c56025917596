"""Pictures of every page of the dashboard, over a store with motions in every state."""

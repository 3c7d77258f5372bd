package main

import "context"

func (d *doctor) attack(ctx context.Context, a *app, actions []string) {}
